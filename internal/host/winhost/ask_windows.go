package winhost

import "updoc/internal/host"

// questions lists what can be asked of a live machine besides its registry,
// services and files.
func questions() map[string]question {
	return map[string]question{
		host.AskAdapters:   adapters,
		host.AskVolumes:    volumes,
		host.AskProxy:      proxyState,
		host.AskProxyFor:   proxyFor,
		host.AskFirewall:   firewall,
		host.AskSecurity:   securityProducts,
		host.AskAgent:      agentState,
		host.AskRestart:    restart,
		host.AskEdition:    systemEdition,
		host.AskFilters:    filters,
		host.AskTime:       clock,
		host.AskTLS:        schannel,
		host.AskManagement: managed,
		host.AskUserProxy:  users,
		host.AskBITS:       bitsQueue,
		host.AskStore:      componentStore,
		host.AskImage:      image,
		host.AskSetup:      setupState,
		host.AskLeftovers:  leftovers,
		host.AskStartup:    startup,
		host.AskCaller:     caller,
		host.AskPowerState: power,
		host.AskInstalled:  installed,

		host.AskServiceCopies: serviceCopies,
	}
}
