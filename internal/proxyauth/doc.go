// Package proxyauth reads what a 407 (or a 401) offers and answers it: Basic
// (RFC 7617), Digest (RFC 7616), NTLM ([MS-NTHT]) and Negotiate (RFC 4559).
//
// It sends nothing. A caller owns the connection and the HTTP, and asks stepwise:
//
//	client := proxyauth.Client{Credentials: credentials}
//	header := client.Header(method, uri)        // "" until something was accepted
//	for {
//		status, values := exchange(header)  // Proxy-Authorization: header; the body of a 407 is drained
//		if status != 407 {
//			client.Accepted()
//			break
//		}
//		if closed {                         // Connection: close, or no length
//			redial()
//			client.Reconnected()
//		}
//		_, header, err = client.Answer(method, uri, proxyauth.ParseChallenges(values))
//		// ErrNoScheme, ErrRefused, ErrHandshake end the loop
//		if client.Fresh() {
//			redial()
//			client.Reconnected()
//		}
//	}
//
// NTLM and Negotiate sign in a connection, not a request: all legs must travel on
// one connection, and so must everything after them. That is why a [Client] belongs
// to a connection. Basic and Digest sign in each request.
//
// # What Windows itself would do
//
// A password satisfies a proxy here that Windows Update could never satisfy, so an
// accepted answer is proof of the credentials and of nothing else:
//
//   - WinHTTP, the agent's HTTP stack, leaves authentication to the program: it
//     hands over the 407, and the program has to supply credentials and send the
//     request again. Only default credentials, those of the account, are sent without
//     being asked for, and only as the automatic logon policy allows; its default,
//     medium, is the intranet alone, which WinHTTP takes to be the servers on the
//     proxy bypass list (learn.microsoft.com: Authentication in WinHTTP;
//     WinHttpRequestAutoLogonPolicy enumeration).
//   - The agent runs as LocalSystem, which presents the computer's account to other
//     machines (learn.microsoft.com: LocalSystem Account). With Negotiate that is a
//     Kerberos ticket of COMPUTER$, or, when it comes down to NTLM, the computer's
//     identity or an anonymous one, as a policy says (learn.microsoft.com: Network
//     security: Allow Local System to use computer identity for NTLM). The proxy must
//     know and admit that account; a machine outside a domain has none to show.
//   - Basic wants a name and a password. LocalSystem has none to give, default
//     credentials are never sent by Basic, and netsh winhttp has no field for one: a
//     proxy that offers only Basic is never satisfied by Windows Update.
//
// # Secrets
//
// A password is a [Secret]: no verb of fmt, no encoder and no logger shows it, and no
// error of this package quotes it or what a proxy sent.
package proxyauth
