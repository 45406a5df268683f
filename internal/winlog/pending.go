package winlog

func identifyDocument(text []byte) Kind { return Unknown }
