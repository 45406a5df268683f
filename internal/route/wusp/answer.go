package wusp

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// Config is what a server says about itself ([MS-WUSP] 2.2.2.2.1).
type Config struct {
	LastChange             string // as sent: it must be handed back to the letter
	IsRegistrationRequired bool
	AuthInfo               []AuthPlugIn
	Properties             []Property
}

// AuthPlugIn names the service that issues authorization cookies: one
// "SimpleTargeting" on WSUS, whose address is relative to the server's.
type AuthPlugIn struct{ ID, ServiceURL string }

// Property is one of the server's settings, such as ProtocolVersion 3.2.
type Property struct{ Name, Value string }

// Property returns the named setting, or "".
func (c *Config) Property(name string) string {
	for _, p := range c.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// MaxExtended is how many revisions a GetExtendedUpdateInfo must stay below: 50 where
// the server does not say anything sensible.
func (c *Config) MaxExtended() int {
	if n, err := strconv.Atoi(c.Property("MaxExtendedUpdatesPerRequest")); err == nil && n > 1 && n <= 1000 {
		return n
	}
	return 50
}

// AuthCookie proves to the client service that the authorization service knows the machine.
type AuthCookie struct{ PlugInID, Data string }

// Cookie is the state that client and server hand to each other.
type Cookie struct {
	Expiration string // xsd:dateTime
	Data       string // base64, opaque
}

// Update is one revision that a server has for the machine.
type Update struct {
	Revision   int    // the server's own number for it
	ID         string // GUID, lower case; "" if the metadata does not tell
	Number     int    // revision number
	Type       string // Software, Driver, Category, Detectoid
	IsLeaf     bool
	Always     bool // its rules say that it is installed on every machine: categories mostly
	Deployment Deployment
}

// Deployment is what the administrator wants done with an update.
type Deployment struct {
	ID       int
	Action   string // Install, Uninstall, Bundle, Evaluate, PreDeploymentCheck, Block
	Deadline string
	Assigned bool
}

// Page is one answer of SyncUpdates.
type Page struct {
	New                []Update
	OutOfScope         int // cached revisions that the machine should forget
	Changed            int
	Truncated          bool // there is more
	Cookie             Cookie
	DriverSyncNeedless bool
}

// File is a file of an update.
type File struct {
	Name   string
	Size   int64
	SHA1   string // lower-case hex; the key of a FileLocation
	SHA256 string // lower-case hex, or ""
	URL    string // "" until a location is known
}

// FileLocation says where the file with a digest is.
type FileLocation struct {
	Digest string // SHA-1, lower-case hex
	URL    string
}

// Extended is one answer of GetExtendedUpdateInfo.
type Extended struct {
	Titles    map[int]string // by revision
	Files     []File
	Locations []FileLocation
}

// client is a name in the client service's namespace.
func client(local string) xml.Name { return xml.Name{Space: nsClient, Local: local} }

// ReadConfig reads the answer to GetConfig. The error is an *Error, here as in all
// readers.
func ReadConfig(ex host.Exchange) (Config, error) {
	var c Config
	err := read(&ex, opConfig, func(d *doc) error {
		return d.result(opConfig, nsClient, func(e xml.StartElement) error {
			switch e.Name {
			case client("LastChange"):
				return d.into(e, &c.LastChange)
			case client("IsRegistrationRequired"):
				return d.into(e, &c.IsRegistrationRequired)
			case client("AuthInfo"):
				return d.list(client("AuthPlugInInfo"), func(xml.StartElement) error {
					var p AuthPlugIn
					err := d.children(func(e xml.StartElement) error {
						switch e.Name {
						case client("PlugInID"):
							return d.into(e, &p.ID)
						case client("ServiceUrl"):
							return d.into(e, &p.ServiceURL)
						}
						return nil
					})
					c.AuthInfo = append(c.AuthInfo, p)
					return err
				})
			case client("Properties"):
				return d.list(client("ConfigurationProperty"), func(xml.StartElement) error {
					var p Property
					err := d.children(func(e xml.StartElement) error {
						switch e.Name {
						case client("Name"):
							return d.into(e, &p.Name)
						case client("Value"):
							return d.into(e, &p.Value)
						}
						return nil
					})
					c.Properties = append(c.Properties, p)
					return err
				})
			}
			return nil
		})
	})
	if err == nil && c.LastChange == "" {
		err = lacks(&ex, opConfig, "LastChange")
	}
	return c, err
}

// CheckAuth says whether an agent can go on from a configuration: it must name one
// authorization service, on the same server.
func (c *Config) CheckAuth() error {
	e := &Error{Operation: opConfig, Hop: host.HopService, Fault: host.FaultAnswer, Status: 200}
	if len(c.AuthInfo) == 0 {
		e.Seen, e.Code = "no authorization service is named", wuNoAuthPlugIns
		e.Source = "learn.microsoft.com: Windows Update error codes by component (empty authentication information list)"
		return e
	}
	u := c.AuthInfo[0].ServiceURL
	if strings.Contains(u, "://") || strings.HasPrefix(u, "//") || strings.ContainsAny(u, "\\\r\n\t ?#@") || strings.Contains(u, "..") || len(u) > 200 {
		e.Seen = "the authorization service's address is not one on this server"
		return e
	}
	return nil
}

// Codes that a session gives by itself. learn.microsoft.com: Windows Update error
// codes by component.
const (
	wuMaxTrips      codes.HRESULT = 0x80244010 // WU_E_PT_EXCEEDED_MAX_SERVER_TRIPS
	wuNoAuthPlugIns codes.HRESULT = 0x80244027 // WU_E_PT_NO_AUTH_PLUGINS_REQUESTED
)

// ReadAuthorization reads the answer to GetAuthorizationCookie.
func ReadAuthorization(ex host.Exchange) (AuthCookie, error) {
	var c AuthCookie
	err := read(&ex, opAuth, func(d *doc) error {
		return d.result(opAuth, nsAuth, func(e xml.StartElement) error {
			switch e.Name.Local {
			case "PlugInId":
				return d.into(e, &c.PlugInID)
			case "CookieData":
				return d.opaque(&c.Data)
			}
			return nil
		})
	})
	if err == nil && c.Data == "" {
		err = lacks(&ex, opAuth, "CookieData")
	}
	return c, err
}

// ReadCookie reads the answer to GetCookie.
func ReadCookie(ex host.Exchange) (Cookie, error) {
	var c Cookie
	err := read(&ex, opCookie, func(d *doc) error {
		return d.result(opCookie, nsClient, d.cookieParts(&c))
	})
	if err == nil && c.Data == "" {
		err = lacks(&ex, opCookie, "EncryptedData")
	}
	return c, err
}

// ReadRegistration reads the empty answer to RegisterComputer.
func ReadRegistration(ex host.Exchange) error {
	return read(&ex, opRegister, func(d *doc) error { return nil })
}

// ReadUpdates reads a page of SyncUpdates.
func ReadUpdates(ex host.Exchange) (Page, error) {
	var p Page
	err := read(&ex, opSync, func(d *doc) error {
		return d.result(opSync, nsClient, func(e xml.StartElement) error {
			switch e.Name {
			case client("NewUpdates"):
				return d.list(client("UpdateInfo"), func(xml.StartElement) error {
					u, err := d.update()
					p.New = append(p.New, u)
					return err
				})
			case client("OutOfScopeRevisionIDs"):
				return d.list(client("int"), func(xml.StartElement) error { p.OutOfScope++; return nil })
			case client("ChangedUpdates"):
				return d.list(client("UpdateInfo"), func(xml.StartElement) error { p.Changed++; return nil })
			case client("Truncated"):
				return d.into(e, &p.Truncated)
			case client("NewCookie"):
				return d.children(d.cookieParts(&p.Cookie))
			case client("DriverSyncNotNeeded"):
				return d.into(e, &p.DriverSyncNeedless)
			}
			return nil
		})
	})
	return p, err
}

// ReadExtended reads the answer to GetExtendedUpdateInfo. Files know their location if
// the answer holds it.
func ReadExtended(ex host.Exchange) (Extended, error) {
	x := Extended{Titles: map[int]string{}}
	err := read(&ex, opExtended, func(d *doc) error {
		return d.result(opExtended, nsClient, func(e xml.StartElement) error {
			switch e.Name {
			case client("Updates"):
				return d.list(client("Update"), func(xml.StartElement) error {
					var id int
					var fragment string
					err := d.children(func(e xml.StartElement) error {
						switch e.Name {
						case client("ID"):
							return d.into(e, &id)
						case client("Xml"):
							return d.into(e, &fragment)
						}
						return nil
					})
					if err != nil {
						return err
					}
					return x.add(id, fragment)
				})
			case client("FileLocations"):
				return d.locations(&x.Locations)
			}
			return nil
		})
	})
	x.Files = locate(x.Files, x.Locations)
	return x, err
}

// ReadLocations reads the answer to GetFileLocations; the cookie is for further calls, if there is one.
func ReadLocations(ex host.Exchange) (locations []FileLocation, next Cookie, err error) {
	err = read(&ex, opLocations, func(d *doc) error {
		return d.result(opLocations, nsClient, func(e xml.StartElement) error {
			switch e.Name {
			case client("FileLocations"):
				return d.locations(&locations)
			case client("NewCookie"):
				return d.children(d.cookieParts(&next))
			}
			return nil
		})
	})
	return locations, next, err
}

// locate returns the files with the addresses that the locations give.
func locate(files []File, locations []FileLocation) []File {
	at := make(map[string]string, len(locations))
	for _, l := range locations {
		at[l.Digest] = l.URL
	}
	out := make([]File, len(files))
	for i, f := range files {
		if u := at[f.SHA1]; u != "" {
			f.URL = u
		}
		out[i] = f
	}
	return out
}

// lacks says that an answer is without something that it must have.
func lacks(ex *host.Exchange, name, what string) error {
	return &Error{Operation: name, Hop: host.HopService, Fault: host.FaultAnswer, Status: ex.Status, Seen: "an answer without " + what}
}

// result reads the children of the result element, within the response element
// that was just opened.
func (d *doc) result(name, ns string, fn func(e xml.StartElement) error) error {
	found := false
	err := d.children(func(e xml.StartElement) error {
		if e.Name != (xml.Name{Space: ns, Local: name + "Result"}) {
			return nil
		}
		found = true
		return d.children(fn)
	})
	if err == nil && !found {
		return errors.New("a response without a result")
	}
	return err
}

// opaque reads base64 that is handed back as it is.
func (d *doc) opaque(to *string) error {
	s, err := d.text()
	if err != nil {
		return err
	}
	s = strings.TrimSpace(s)
	if len(s) > 64<<10 {
		return fmt.Errorf("a cookie of %d bytes: %w", len(s), errBound)
	}
	if _, err := base64.StdEncoding.DecodeString(s); err != nil {
		return errors.New("a cookie that is not base64")
	}
	*to = s
	return nil
}

func (d *doc) cookieParts(c *Cookie) func(e xml.StartElement) error {
	return func(e xml.StartElement) error {
		switch e.Name {
		case client("Expiration"):
			return d.into(e, &c.Expiration)
		case client("EncryptedData"):
			return d.opaque(&c.Data)
		}
		return nil
	}
}

func (d *doc) update() (Update, error) {
	var u Update
	err := d.children(func(e xml.StartElement) error {
		switch e.Name {
		case client("ID"):
			return d.into(e, &u.Revision)
		case client("IsLeaf"):
			return d.into(e, &u.IsLeaf)
		case client("Deployment"):
			return d.children(func(e xml.StartElement) error {
				switch e.Name {
				case client("ID"):
					return d.into(e, &u.Deployment.ID)
				case client("Action"):
					return d.into(e, &u.Deployment.Action)
				case client("Deadline"):
					return d.into(e, &u.Deployment.Deadline)
				case client("IsAssigned"):
					return d.into(e, &u.Deployment.Assigned)
				}
				return nil
			})
		case client("Xml"):
			var fragment string
			if err := d.into(e, &fragment); err != nil {
				return err
			}
			return u.core(fragment)
		}
		return nil
	})
	return u, err
}

// core reads the beginning of an update's core metadata: a run of elements without
// a root and without a namespace. What it does not understand it leaves alone: the
// walk needs to know which updates there are, not what their rules mean.
func (u *Update) core(fragment string) error {
	d := newDoc([]byte(fragment))
	for {
		tok, err := d.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("metadata of revision %d: %w", u.Revision, err)
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "UpdateIdentity":
			u.ID = strings.ToLower(clean(attr(e, "UpdateID"), 40))
			u.Number, _ = strconv.Atoi(attr(e, "RevisionNumber"))
		case "Properties":
			u.Type = clean(attr(e, "UpdateType"), 40)
		case "ApplicabilityRules":
			err := d.children(func(e xml.StartElement) error {
				if e.Name.Local != "IsInstalled" {
					return nil
				}
				// One rule stands there, which may have others in it. Rules are most of the
				// metadata, and nothing behind this is of interest.
				return d.children(func(e xml.StartElement) error {
					u.Always = e.Name.Local == "True"
					return errEnough
				})
			})
			if err == nil || errors.Is(err, errEnough) {
				return nil
			}
			return fmt.Errorf("metadata of revision %d: %w", u.Revision, err)
		}
		if err := d.leave(0); err != nil {
			return fmt.Errorf("metadata of revision %d: %w", u.Revision, err)
		}
	}
}

// errEnough ends the reading of a document whose rest does not matter.
var errEnough = errors.New("enough")

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// locations reads FileLocations. An address that no agent would follow is an error.
func (d *doc) locations(to *[]FileLocation) error {
	return d.list(client("FileLocation"), func(xml.StartElement) error {
		var digest, address string
		err := d.children(func(e xml.StartElement) error {
			switch e.Name {
			case client("FileDigest"):
				return d.into(e, &digest)
			case client("Url"):
				return d.into(e, &address)
			}
			return nil
		})
		if err != nil {
			return err
		}
		sum, err := digestHex(digest, 20)
		if err != nil {
			return fmt.Errorf("FileDigest: %w", err)
		}
		address = strings.TrimSpace(address)
		if !contentURL(address) {
			return errors.New("a file location that is no http address")
		}
		*to = append(*to, FileLocation{Digest: sum, URL: address})
		return nil
	})
}

func contentURL(s string) bool {
	lower := strings.ToLower(s)
	return len(s) <= 4096 && (strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// digestHex turns the protocol's base64 into hex.
func digestHex(b64 string, size int) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(b64))
	if err != nil || len(raw) != size {
		return "", fmt.Errorf("not a digest of %d bytes", size)
	}
	return hex.EncodeToString(raw), nil
}

// add reads a fragment of extended or localised metadata.
func (x *Extended) add(revision int, fragment string) error {
	d := newDoc([]byte(fragment))
	for {
		tok, err := d.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("metadata of revision %d: %w", revision, err)
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "Files":
			err = d.children(func(e xml.StartElement) error {
				if e.Name.Local != "File" || len(x.Files) >= maxList {
					return nil
				}
				f, ok, err := d.file(e)
				if ok {
					x.Files = append(x.Files, f)
				}
				return err
			})
		case "LocalizedProperties":
			err = d.children(func(e xml.StartElement) error {
				if e.Name.Local != "Title" || x.Titles[revision] != "" {
					return nil
				}
				s, err := d.text()
				x.Titles[revision] = clean(s, 400)
				return err
			})
		default:
			err = d.leave(0)
		}
		if err != nil {
			return fmt.Errorf("metadata of revision %d: %w", revision, err)
		}
	}
}

// file reads a File element; without a SHA-1 digest nobody can ask for it.
func (d *doc) file(e xml.StartElement) (f File, ok bool, err error) {
	f.Name = clean(attr(e, "FileName"), 260)
	f.Size, _ = strconv.ParseInt(attr(e, "Size"), 10, 64)
	note := func(algorithm, digest string) {
		switch strings.ToUpper(algorithm) {
		case "SHA1":
			if s, err := digestHex(digest, 20); err == nil {
				f.SHA1 = s
			}
		case "SHA256":
			if s, err := digestHex(digest, 32); err == nil {
				f.SHA256 = s
			}
		}
	}
	note(attr(e, "DigestAlgorithm"), attr(e, "Digest"))
	err = d.children(func(e xml.StartElement) error {
		if e.Name.Local != "AdditionalDigest" {
			return nil
		}
		s, err := d.text()
		note(attr(e, "Algorithm"), s)
		return err
	})
	return f, f.SHA1 != "" && f.Size >= 0, err
}
