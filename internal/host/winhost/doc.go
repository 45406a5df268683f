// Package winhost is the live Windows machine: it answers what [host.Reader]
// asks, and makes and takes back the changes of [host.Host].
//
// The rules that it obeys:
//
//   - Windows' own interfaces are asked, never the texts that tools print: those
//     are translated. Where only a tool does the work, its exit code counts.
//   - A tool is started by its absolute path in the system directory, never by
//     what %PATH% says, and sees no console of the user.
//   - No reparse point is followed out of what was asked for.
//   - An error keeps the HRESULT: errors.As finds a [codes.HRESULT] in it, and
//     errors.Is tells host.ErrNotExist and host.ErrDenied from the rest.
//   - What Windows was made to write is on the disk before Apply returns.
//   - The hive of a user who is not signed in is never loaded.
//
// Most of it exists on Windows alone. What does not need Windows (which files are
// evidence, how a console's bytes become text) is here for every system, so that
// it is tested on every system.
package winhost
