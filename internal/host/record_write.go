package host

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"updoc/internal/redact"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// WriteOptions of a bundle.
type WriteOptions struct {
	Version string    // of updoc
	Created time.Time // zero: now

	// Redactor takes secrets and names out of everything before it is written. It
	// learns the names that the answers give with certainty. nil: everything stands
	// in the bundle as it is on the machine; for machines that are nobody's.
	Redactor *redact.Redactor

	// Note makes the covering note of what is in the bundle; nil: there is none. It
	// is redacted as well.
	Note func(Manifest) string

	Limits Limits
	// Within is how long the files may take: what was not read by then is left out
	// and named. Zero: as long as it takes.
	Within time.Duration
	// Progress is called now and then, from one goroutine at a time; nil is allowed.
	Progress func(Progress)
}

// Progress of writing a bundle.
type Progress struct {
	Files, AllFiles int
	Bytes, AllBytes int64 // of the files as they are on the machine
}

// bundleReserve is kept free for what is written last: the note and the manifest.
const bundleReserve = 256 << 10

// memberOverhead is what the manifest and the zip's own tables hold of a member.
const memberOverhead = 512

// Write writes the bundle: every answer that was remembered and every file that
// was listed. It returns what the manifest says. What cannot be read is named in it
// and is no error; an error means that the bundle is not whole: w failed, or ctx
// ended.
//
// Files are redacted and packed on all processors. Memory is bounded whatever
// their size.
func (r *Record) Write(ctx context.Context, w io.Writer, opt WriteOptions) (Manifest, error) {
	if _, err := r.Machine(ctx); err != nil && ctx.Err() != nil {
		return Manifest{}, ctx.Err()
	}
	b := &bundleWriter{
		r: r.asOfNow(), opt: opt, limits: opt.Limits.orDefault(), red: opt.Redactor,
		out: &countingWriter{w: w}, names: map[string]bool{},
	}
	if b.opt.Created.IsZero() {
		b.opt.Created = time.Now()
	}
	b.zip = zip.NewWriter(b.out)
	if err := b.write(ctx); err != nil {
		return Manifest{}, fmt.Errorf("write bundle: %w", err)
	}
	return b.m, nil
}

// asOfNow is the record without what comes from now on: somebody who asked may still wait
// for an answer that is late, and is not to wait for the bundle too.
func (r *Record) asOfNow() *Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Record{
		Reader: r.Reader, size: r.size, keys: r.keys.clone(), services: r.services.clone(), asked: r.asked.clone(),
		files: slices.Clone(r.files), listed: maps.Clone(r.listed), machine: r.machine,
	}
}

func (a answers[T]) clone() answers[T] {
	return answers[T]{slices.Clone(a.list), maps.Clone(a.index)}
}

type bundleWriter struct {
	r      *Record
	opt    WriteOptions
	limits Limits
	red    *redact.Redactor
	before []redact.Count // what the redactor had replaced before

	mu    sync.Mutex // of what follows
	zip   *zip.Writer
	out   *countingWriter
	names map[string]bool // of members, in lower case
	m     Manifest
	prog  Progress
}

func (b *bundleWriter) write(ctx context.Context) error {
	b.learn()
	b.head()
	if err := b.registry(); err != nil {
		return err
	}
	if err := b.services(); err != nil {
		return err
	}
	if err := b.answers(); err != nil {
		return err
	}
	if err := b.files(ctx); err != nil {
		return err
	}
	b.m.Denied = slices.Compact(b.m.Denied)
	b.m.Redaction = b.redaction()
	if b.opt.Note != nil {
		if err := b.add(NoteName, MemberNote, b.bytes([]byte(b.opt.Note(b.m)))); err != nil {
			return err
		}
		b.m.Redaction = b.redaction()
	}
	text, err := encode(b.m)
	if err != nil {
		return err
	}
	mw, err := b.zip.CreateHeader(b.header(ManifestName))
	if err != nil {
		return err
	}
	if _, err := mw.Write(text); err != nil {
		return err
	}
	return b.zip.Close()
}

// encode writes a list as people can read it.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(v)
	return out.Bytes(), err
}

// text redacts a string, bytes a document.
func (b *bundleWriter) text(s string) string {
	if b.red == nil || s == "" {
		return s
	}
	return b.red.String(s)
}

// computer redacts the name of the machine, which may be too short or too common to
// be taken for a name where it stands alone.
func (b *bundleWriter) computer(name string) string {
	if name == "" {
		return ""
	}
	const label = "Computer Name: "
	return strings.TrimPrefix(b.text(label+name), label)
}

func (b *bundleWriter) bytes(p []byte) []byte {
	if b.red == nil {
		return p
	}
	return b.red.Bytes(p)
}

// head fills in what is known before the files are read.
func (b *bundleWriter) head() {
	m := b.r.machine
	m.Name, m.OS, m.Build, m.Arch = b.computer(m.Name), b.text(m.OS), b.text(m.Build), b.text(m.Arch)
	b.m = Manifest{Schema: BundleSchema, Version: b.opt.Version, Created: b.opt.Created.UTC().Truncate(time.Second), Machine: Described(m), Elevated: b.r.elevated(), Files: []Member{}}
	for _, u := range b.r.unread() {
		b.unread(u)
	}
}

func (b *bundleWriter) unread(u Unread) {
	u.What, u.Why = b.text(u.What), b.text(u.Why)
	b.m.Unread = append(b.m.Unread, u)
	if u.Why == ErrDenied.Error() {
		b.m.Denied = append(b.m.Denied, u.What)
	}
}

// redaction counts what was replaced since writing began.
func (b *bundleWriter) redaction() *Redaction {
	if b.red == nil {
		return nil
	}
	out := &Redaction{HostsKept: b.red.KeepHosts, Replaced: []Replaced{}}
	for _, c := range b.red.Report() {
		for _, old := range b.before {
			if old.Kind == c.Kind {
				c.Total -= old.Total
			}
		}
		if c.Distinct = min(c.Distinct, c.Total); c.Total > 0 {
			out.Replaced = append(out.Replaced, Replaced(c))
		}
	}
	return out
}

// header of a member of our own.
func (b *bundleWriter) header(name string) *zip.FileHeader {
	return &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: b.m.Created}
}

// add writes a member that is in memory.
func (b *bundleWriter) add(name, role string, content []byte) error {
	b.names[strings.ToLower(name)] = true
	mw, err := b.zip.CreateHeader(b.header(name))
	if err != nil {
		return err
	}
	if _, err := mw.Write(content); err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	b.m.Files = append(b.m.Files, Member{Name: name, Role: role, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))})
	return b.zip.Flush()
}

// registry writes the values as a .reg file, in which redaction knows its way, and
// beside it what was answered for each key.
func (b *bundleWriter) registry() error {
	if len(b.r.keys.list) == 0 {
		return nil
	}
	reg := []byte(regHead)
	entries := make([]keyEntry, 0, len(b.r.keys.list))
	for _, k := range b.r.keys.list {
		e := keyEntry{Path: b.text(k.path), State: stateOf(k.err), Source: b.text(k.Source), Partial: k.Partial}
		if e.State == StateFailed {
			e.Why = b.text(k.err.Error())
		}
		for _, s := range k.Subkeys {
			e.Subkeys = append(e.Subkeys, b.text(s))
		}
		if e.State == StatePresent {
			var lost int
			var ok bool
			if reg, lost, ok = appendRegKey(reg, e.Path, k.Values); !ok {
				e.State, e.Why = StateFailed, "its name cannot be written down"
			}
			if ok {
				b.m.Keys++
			}
			if e.Partial = e.Partial || lost > 0; lost > 0 {
				b.unread(Unread{k.path, "key", fmt.Sprintf("%d values whose names hold line breaks", lost)})
			}
		}
		entries = append(entries, e)
	}
	if err := b.add(registryName, MemberRegistry, b.bytes(reg)); err != nil {
		return err
	}
	list, err := encode(entries)
	if err != nil {
		return err
	}
	return b.add(keysName, MemberKeys, list)
}

func (b *bundleWriter) services() error {
	if len(b.r.services.list) == 0 {
		return nil
	}
	entries := map[string]serviceEntry{}
	for _, s := range b.r.services.list {
		e := serviceEntry{State: stateOf(s.err), Source: b.text(s.Source)}
		switch e.State {
		case StateFailed:
			e.Why = b.text(s.err.Error())
		case StatePresent:
			v := s.Service
			v.Source = e.Source
			e.Service = &v
			b.m.Services++
		}
		entries[strings.ToLower(s.name)] = e
	}
	list, err := encode(entries)
	if err != nil {
		return err
	}
	redacted := b.bytes(list)
	var again map[string]serviceEntry
	if err := json.Unmarshal(redacted, &again); err != nil || len(again) != len(entries) {
		return errors.New("services: not JSON once it was redacted")
	}
	return b.add(servicesName, MemberServices, redacted)
}

// answers writes what was asked beside keys and services, each answer as a member.
func (b *bundleWriter) answers() error {
	for _, a := range b.r.asked.list {
		e := AnswerMember{Question: Question{Name: a.Name}, State: stateOf(a.err), Source: b.text(a.Source)}
		for name, v := range a.Args {
			if e.Args == nil {
				e.Args = map[string]string{}
			}
			e.Args[name] = b.text(v)
		}
		switch e.State {
		case StateFailed:
			e.Why = b.text(a.err.Error())
		case StatePresent:
			content := b.bytes(a.JSON)
			if !json.Valid(content) {
				e.State, e.Why = StateFailed, "not JSON once it was redacted"
				b.unread(Unread{a.Name, "answer", e.Why})
				break
			}
			e.File = b.name(strings.TrimPrefix(memberPath(a.Name+".json"), evidenceDir), answersDir)
			if err := b.add(e.File, MemberAnswer, content); err != nil {
				return err
			}
		}
		b.m.Answers = append(b.m.Answers, e)
	}
	return nil
}

// name makes the name of a member one of its own: systems that know no letter case
// unpack it as well.
func (b *bundleWriter) name(p, dir string) string {
	for n := 1; ; n++ {
		name := dir + p
		if n > 1 {
			name = fmt.Sprintf("%s%d/%s", dir, n, p)
		}
		if low := strings.ToLower(name); !b.names[low] {
			b.names[low] = true
			return name
		}
	}
}

// files redacts and packs the files on all processors, the small ones first: what
// there is no room for any more is a large one.
func (b *bundleWriter) files(ctx context.Context) error {
	list, left := b.r.evidence(b.limits)
	for _, u := range left {
		b.unread(u)
	}
	members := make([]*Member, len(list))
	order := make([]int, len(list))
	b.prog.AllFiles = len(list)
	for i, f := range list {
		order[i] = i
		b.prog.AllBytes += max(f.take, 0)
		p := b.text(f.Path)
		name := strings.TrimPrefix(memberPath(p), evidenceDir)
		if b.rendered(f.Kind) {
			name += ".xml"
		}
		members[i] = &Member{Name: b.name(name, evidenceDir), Role: MemberEvidence, Path: p, Kind: f.Kind, Original: f.Size, Modified: f.Modified}
	}
	sorted.By(order, func(x, y int) int { return cmp.Compare(list[x].take, list[y].take) })
	within := ctx
	if b.opt.Within > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeoutCause(ctx, b.opt.Within, errNoTime)
		defer cancel()
	}
	var (
		wg   sync.WaitGroup
		next = make(chan int)
		errs = make([]error, len(list))
	)
	stopped, stop := context.WithCancel(within)
	defer stop()
	for range max(2, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			p := packer{b: b}
			for i := range next {
				if errs[i] = p.file(within, list[i], members[i]); errs[i] != nil {
					var broken *brokenError
					if errors.As(errs[i], &broken) {
						stop()
					}
				}
			}
		})
	}
feed:
	for _, i := range order {
		select {
		case next <- i:
		case <-stopped.Done():
			if ctx.Err() != nil || within.Err() == nil {
				break feed
			}
			errs[i] = errNoTime
		}
	}
	close(next)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, err := range errs {
		var broken *brokenError
		switch {
		case errors.As(err, &broken):
			return broken.err
		case err != nil:
			u := Unread{list[i].Path, "file", reason(err).Error()}
			if errors.Is(err, ErrDenied) || errors.Is(err, fs.ErrPermission) {
				u.Why = ErrDenied.Error()
			}
			b.unread(u)
		}
		if members[i].SHA256 != "" {
			b.m.Files = append(b.m.Files, *members[i])
		}
	}
	return nil
}

var (
	errNoTime = errors.New("there was no time left to read it")
	errFull   = errors.New("there was no room left in the bundle")
	errEmpty  = errors.New("empty")
)

// brokenError says that the bundle cannot be written on.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// leastFile is the least of a large file that is worth taking.
const leastFile = 256 << 10

// packer packs files, one after the other.
type packer struct {
	b       *bundleWriter
	deflate *flate.Writer
}

// file packs a file and puts it into the bundle. An error says why it is not in the
// bundle, or, if the member has a hash, not in whole.
func (p *packer) file(ctx context.Context, f taken, m *Member) error {
	defer p.b.step(1, 0)
	limit := p.b.limits.File
	if f.take >= 0 && f.take < f.Size {
		limit = f.take
	}
	for {
		s := &spool{}
		err := p.pack(ctx, f, m, limit, s)
		if m.Size == 0 || s.err != nil || ctx.Err() != nil {
			s.Close()
			m.SHA256 = ""
			return cmp.Or(context.Cause(ctx), s.err, err, errEmpty)
		}
		room, werr := p.b.put(m, s)
		s.Close()
		switch {
		case werr != nil:
			return &brokenError{werr}
		case room < 0:
			return err
		case room < leastFile || room >= limit:
			m.SHA256 = ""
			return errFull
		}
		limit = room // packed it is smaller: that much fits
	}
}

// pack redacts and packs what the limit leaves of a file into s, and fills in m.
func (p *packer) pack(ctx context.Context, f taken, m *Member, limit int64, s *spool) error {
	m.SHA256, m.Size, m.Cut, m.As = "", 0, nil, ""
	rc, err := p.b.r.Reader.Open(ctx, f.File)
	if err != nil {
		return fmt.Errorf("open %s: %w", path.Base(f.Path), err)
	}
	defer rc.Close()
	src, size := io.Reader(abortable{ctx, rc}), f.Size
	if ra, ok := rc.(io.ReaderAt); ok && size >= 0 {
		src = io.NewSectionReader(abortableAt{ctx, ra}, 0, size)
	}
	if p.b.rendered(f.Kind) {
		m.As, m.Kind = AsEvents, winlog.EventText
		events := &spool{}
		defer events.Close()
		if err := renderEvents(ctx, events, src, size); err != nil && events.size == 0 {
			return err
		}
		src, size = events.reader(), events.size
	}
	cut := &cutReader{src: src, size: size, limit: limit, progress: p.b.step}
	var in io.Reader = cut
	if p.b.red != nil {
		in = p.b.red.Reader(cut)
	}
	if p.deflate == nil {
		if p.deflate, err = flate.NewWriter(s, flate.DefaultCompression); err != nil {
			return err
		}
	} else {
		p.deflate.Reset(s)
	}
	sum := &summing{sha: sha256.New(), crc: crc32.NewIEEE(), w: p.deflate}
	_, err = io.Copy(sum, in)
	m.Size, m.SHA256 = sum.n, hex.EncodeToString(sum.sha.Sum(nil))
	s.crc = sum.crc.Sum32()
	if cut.left > 0 {
		m.Cut = &Cut{At: cut.at, Bytes: cut.left}
	}
	if m.Original < 0 {
		m.Original = cut.read + cut.left
	}
	return errors.Join(err, p.deflate.Close())
}

// rendered reports that files of a kind stand in the bundle as XML.
func (b *bundleWriter) rendered(k winlog.Kind) bool { return k == winlog.EVTX && b.red != nil }

// renderEvents renders an event log. Its reader needs random access.
func renderEvents(ctx context.Context, w io.Writer, src io.Reader, size int64) error {
	if _, ok := src.(io.ReaderAt); ok {
		return writeEvents(ctx, w, src, size)
	}
	log := &spool{}
	defer log.Close()
	if _, err := io.Copy(log, io.LimitReader(src, maxArchive)); err != nil && log.size == 0 {
		return err
	}
	return writeEvents(ctx, w, log.reader(), log.size)
}

// put writes a packed file. If there is no room for it, it returns how much there
// is; else -1.
func (b *bundleWriter) put(m *Member, s *spool) (room int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room = b.limits.Zip - b.out.n - bundleReserve - memberOverhead*int64(len(b.m.Files)+b.prog.AllFiles)
	if s.size > room {
		return max(room, 0), nil
	}
	modified := m.Modified
	if y := modified.Year(); y < 1980 || y > 2107 { // what a zip can hold
		modified = b.m.Created
	}
	head := &zip.FileHeader{Name: m.Name, Method: zip.Deflate, CRC32: s.crc, CompressedSize64: uint64(s.size), UncompressedSize64: uint64(m.Size)}
	head.SetModTime(modified) //lint:ignore SA1019 a raw member takes no other time
	w, err := b.zip.CreateRaw(head)
	if err != nil {
		return -1, err
	}
	if _, err := io.Copy(w, s.reader()); err != nil {
		return -1, err
	}
	return -1, b.zip.Flush()
}

// step tells how far it is.
func (b *bundleWriter) step(files int, bytes int64) {
	if b.opt.Progress == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prog.Files += files
	b.prog.Bytes += bytes
	b.opt.Progress(b.prog)
}

// learn teaches the redactor the names that the answers give with certainty, so
// that they are also found where nothing around them tells that they are names.
func (b *bundleWriter) learn() {
	if b.red == nil {
		return
	}
	b.before = b.red.Report()
	b.red.Learn(redact.Computer, b.r.machine.Name)
	for _, k := range b.r.keys.list {
		for _, v := range k.Values {
			kind, ok := namesSomething[strings.ToLower(v.Name)]
			text, isText := v.String()
			if !ok || !isText || text == "" {
				continue
			}
			switch {
			case strings.EqualFold(v.Name, "ProfileImagePath"):
				text = strings.ReplaceAll(text, `\`, "/")
				if !strings.Contains(strings.ToLower(text), "/users/") {
					continue // the profiles of services lie in the system's folder
				}
				text = path.Base(text)
			case strings.EqualFold(v.Name, "SearchList"):
				for _, s := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
					b.red.Learn(kind, s)
				}
				continue
			}
			b.red.Learn(kind, text)
		}
	}
	for _, s := range b.r.services.list {
		if strings.ContainsAny(s.Account, `\@`) && !strings.HasPrefix(strings.ToLower(s.Account), `nt `) {
			b.red.Learn(redact.User, s.Account)
		}
	}
	for _, a := range b.r.asked.list {
		var n Adapters
		if a.Name == AskAdapters && a.err == nil && json.Unmarshal(a.JSON, &n) == nil {
			b.red.Learn(redact.Computer, n.Host)
			b.red.Learn(redact.Domain, n.Domain)
		}
	}
	for _, f := range b.r.files {
		parts := strings.FieldsFunc(f.Path, func(r rune) bool { return r == '\\' || r == '/' })
		if i := slices.IndexFunc(parts, func(s string) bool { return equalFold(s, "Users") }); i >= 0 && i+2 < len(parts) {
			b.red.Learn(redact.User, parts[i+1])
		}
	}
}

// namesSomething are the registry values, in lower case, that hold a name.
var namesSomething = map[string]string{
	"computername": redact.Computer, "hostname": redact.Computer, "nv hostname": redact.Computer,
	"domain": redact.Domain, "nv domain": redact.Domain, "dhcpdomain": redact.Domain, "searchlist": redact.Domain,
	"profileimagepath": redact.User, "registeredowner": redact.User, "defaultusername": redact.User,
	"lastusedusername": redact.User, "lastloggedonuser": redact.User, "lastloggedonsamuser": redact.User,
}

// countingWriter counts what was written.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// summing takes the sums of what is written.
type summing struct {
	sha hash.Hash
	crc hash.Hash32
	n   int64
	w   io.Writer
}

func (s *summing) Write(p []byte) (int, error) {
	s.sha.Write(p)
	s.crc.Write(p)
	s.n += int64(len(p))
	return s.w.Write(p)
}

// abortableAt is [Abortable] for random access.
type abortableAt struct {
	ctx context.Context
	src io.ReaderAt
}

func (a abortableAt) ReadAt(p []byte, off int64) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return a.src.ReadAt(p, off)
}

// spool keeps what is written to it in memory, and in a temporary file once it is
// large.
type spool struct {
	mem  bytes.Buffer
	file *os.File
	size int64
	crc  uint32
	err  error
}

const spoolMemory = 1 << 20

func (s *spool) Write(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.file == nil && s.size+int64(len(p)) > spoolMemory {
		if s.file, s.err = os.CreateTemp("", "updoc-*.tmp"); s.err != nil {
			return 0, s.err
		}
		if _, s.err = s.file.Write(s.mem.Bytes()); s.err != nil {
			return 0, s.err
		}
		s.mem = bytes.Buffer{}
	}
	s.size += int64(len(p))
	if s.file == nil {
		return s.mem.Write(p)
	}
	var n int
	n, s.err = s.file.Write(p)
	return n, s.err
}

// reader reads it all, from its beginning, and at random.
func (s *spool) reader() *io.SectionReader {
	if s.file != nil {
		return io.NewSectionReader(s.file, 0, s.size)
	}
	return io.NewSectionReader(bytes.NewReader(s.mem.Bytes()), 0, s.size)
}

func (s *spool) Close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
}
