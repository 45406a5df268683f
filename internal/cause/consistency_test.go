package cause

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"updoc/internal/facts"
	"updoc/internal/message"
)

// What the catalogue is made of stands in four places: Go values, tables,
// sentences, signatures. These tests hold them together.

// sources parses the package's own files, tests left out.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	names, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*ast.File{}
	set := token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = f
	}
	return out
}

// signatureIDs reads the ids of the signature tables (true), and those that the
// readers of package facts give of themselves (false).
func signatureIDs(t *testing.T) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	names, err := filepath.Glob("../facts/signatures/*.tsv")
	if err != nil || len(names) == 0 {
		t.Fatalf("no signature tables: %v", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			if n++; n == 1 || strings.TrimSpace(line) == "" || line[0] == '#' {
				continue
			}
			id, _, _ := strings.Cut(line, "\t")
			ids[id] = true
		}
	}
	own := regexp.MustCompile(`(?:\.sight\(|\.marks\[)"([a-z0-9-]+)"`)
	readers, err := filepath.Glob("../facts/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range readers {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range own.FindAllStringSubmatch(string(b), -1) {
			if _, ok := ids[m[1]]; !ok {
				ids[m[1]] = false
			}
		}
	}
	return ids
}

// signatureArgs are the functions that take ids of signatures, and which argument
// is the first.
var signatureArgs = map[string]int{
	"conclusive": 0, "strong": 0, "moderate": 0, "weak": 0,
	"sign": 1, "against": 1, "both": 1, "helped": 1, "cures": 1,
	"Mark": 0, "Marks": 0, "first": 0,
}

func TestSignaturesExistAndAreUsed(t *testing.T) {
	exist := signatureIDs(t)
	written := map[string]bool{} // every literal of the package, wherever it stands
	named := 0
	for name, f := range sources(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					written[s] = true
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			from, ok := signatureArgs[calledName(call)]
			if !ok {
				return true
			}
			for _, arg := range call.Args[min(from, len(call.Args)):] {
				for _, id := range literals(arg) {
					named++
					if _, ok := exist[id]; !ok {
						t.Errorf("%s: signature %q is in no table", name, id)
					}
				}
			}
			return true
		})
	}
	if named < 300 {
		t.Errorf("%d ids found in the checks: the test looks in the wrong place", named)
	}
	for _, id := range slices.Sorted(maps.Keys(exist)) {
		if exist[id] && !written[id] {
			t.Errorf("signature %q is used by no check", id)
		}
	}
}

func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// literals returns the strings of a literal or of a list of literals.
func literals(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return []string{s}
		}
	case *ast.CompositeLit:
		var out []string
		for _, x := range e.Elts {
			out = append(out, literals(x)...)
		}
		return out
	}
	return nil
}

// TestRegistryKeysAreAsked: a cause that reads a key which Collect never asks for
// would never know anything. Paths are constants, or constants with something
// appended that is only known at run time; of those the beginning must be asked.
func TestRegistryKeysAreAsked(t *testing.T) {
	asked := map[string]bool{}
	for _, k := range facts.Keys() {
		asked[strings.TrimSuffix(strings.ToLower(k), `\*`)] = true
	}
	files := sources(t)
	consts := map[string]ast.Expr{}
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					if i < len(v.Values) {
						consts[name.Name] = v.Values[i]
					}
				}
			}
		}
	}
	seen := 0
	for name, f := range files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
				continue // a base of others
			}
			ast.Inspect(d, func(n ast.Node) bool {
				e, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				path, whole := constant(e, consts)
				if !strings.HasPrefix(path, `HKLM\`) && !strings.HasPrefix(path, `HKCU\`) && !strings.HasPrefix(path, `HKU\`) {
					return true
				}
				seen++
				path = strings.ToLower(path)
				if whole && !asked[path] {
					t.Errorf("%s: %s is not in keys.txt", name, path)
				}
				if !whole && !slices.ContainsFunc(slices.Collect(maps.Keys(asked)), func(k string) bool { return strings.HasPrefix(k, path) }) {
					t.Errorf("%s: no key that begins with %s is in keys.txt", name, path)
				}
				return false
			})
		}
	}
	if seen < 40 {
		t.Errorf("%d paths found: the test looks in the wrong place", seen)
	}
}

// constant returns the text of an expression as far as it is constant from the
// left, and whether that is all of it.
func constant(e ast.Expr, consts map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		if v, ok := consts[e.Name]; ok {
			return constant(v, consts)
		}
	case *ast.ParenExpr:
		return constant(e.X, consts)
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		x, whole := constant(e.X, consts)
		if !whole {
			return x, false
		}
		y, whole := constant(e.Y, consts)
		return x + y, whole
	}
	return "", false
}

func TestCatalogue(t *testing.T) {
	words := message.English()
	ids := map[string]*Cause{}
	for _, c := range Catalogue() {
		if ids[c.ID] != nil {
			t.Errorf("%s stands twice", c.ID)
		}
		ids[c.ID] = c
	}
	stages := []facts.Stage{facts.StageAny, facts.StageScan, facts.StageDownload, facts.StageVerify, facts.StageInstall, facts.StageRestart, facts.StageSetup}
	for _, c := range Catalogue() {
		if c.ID == "none" || c.Family == "" || c.Prior <= 0 || c.Check == nil || len(c.Stages) == 0 {
			t.Errorf("incomplete: %+v", c)
		}
		for _, s := range c.Stages {
			if !slices.Contains(stages, s) {
				t.Errorf("%s: stage %q", c.ID, s)
			}
		}
		for _, id := range c.LeadsTo {
			if ids[id] == nil || id == c.ID {
				t.Errorf("%s leads to %q, which is no other cause", c.ID, id)
			}
		}
		if len(c.Remedies) == 0 {
			t.Errorf("%s has no remedy", c.ID)
		}
		for i, id := range c.Remedies {
			if slices.Contains(c.Remedies[:i], id) {
				t.Errorf("%s: remedy %s stands twice", c.ID, id)
			}
		}
		checkText(t, words, "cause."+c.ID+".title", 60)
		checkText(t, words, "cause."+c.ID+".plain", 900)
		if title := words.Text("cause." + c.ID + ".title"); strings.HasSuffix(title, ".") {
			t.Errorf("the title of %s is a heading and ends with a full stop", c.ID)
		}
	}
	for _, key := range words.Keys() {
		if id, ok := strings.CutPrefix(key, "cause."); ok {
			id, part, _ := strings.Cut(id, ".")
			if ids[id] == nil || part != "title" && part != "plain" {
				t.Errorf("the text %s belongs to no cause", key)
			}
		}
	}
}

// checkText holds a text to its length, to plain characters and to having no
// argument that nobody fills in.
func checkText(t *testing.T, words *message.Catalog, key string, most int) {
	t.Helper()
	if !words.Has(key) {
		t.Errorf("there is no text %s", key)
		return
	}
	text := words.Text(key)
	if len([]rune(text)) > most {
		t.Errorf("%s has %d characters, at most %d are wanted: %s", key, len([]rune(text)), most, text)
	}
	if strings.ContainsAny(text, "{}<>\t`") {
		t.Errorf("%s is not plain: %s", key, text)
	}
}

func TestLeadsToHasNoCycle(t *testing.T) {
	next := map[string][]string{}
	for _, c := range Catalogue() {
		next[c.ID] = c.LeadsTo
	}
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(id string, path []string)
	visit = func(id string, path []string) {
		path = append(path, id)
		if state[id] == visiting {
			t.Errorf("a circle: %s", strings.Join(path, " leads to "))
			return
		}
		if state[id] == done {
			return
		}
		state[id] = visiting
		for _, n := range next[id] {
			visit(n, path)
		}
		state[id] = done
	}
	for _, id := range slices.Sorted(maps.Keys(next)) {
		visit(id, nil)
	}
}

func TestExplains(t *testing.T) {
	const tolerance = 0.02 // shares are honest guesses with two digits
	table := explains()
	if table.err != nil {
		t.Fatal(table.err)
	}
	ids := map[string]bool{}
	for _, c := range Catalogue() {
		ids[c.ID] = true
	}
	for key, shares := range table.byCode {
		name := key.code.String()
		if key.extend != 0 {
			name = fmt.Sprintf("%v-0x%X", key.code, key.extend)
		}
		sum := 0.0
		for i, s := range shares {
			if !ids[s.Cause] {
				t.Errorf("%s: cause %q is not in the catalogue", name, s.Cause)
			}
			if slices.ContainsFunc(shares[:i], func(o Share) bool { return o.Cause == s.Cause }) {
				t.Errorf("%s: %s stands twice", name, s.Cause)
			}
			if s.Weight <= 0 || s.Weight > 1 {
				t.Errorf("%s: %s has a share of %v", name, s.Cause, s.Weight)
			}
			sum += s.Weight
		}
		if sum > 1+tolerance {
			t.Errorf("%s: the shares are %.3f together: %v", name, sum, shares)
		}
	}
}

func TestExplainRowErrors(t *testing.T) {
	table := explainTable{byCode: map[codeKey][]Share{}}
	for _, line := range []string{"", "0x80070005", "0x80070005\tx", "zero\tx\t0.1", "0x80070005-zero\tx\t0.1", "0x80070005\tx\tmuch", "0x180070005\tx\t0.1"} {
		if table.row(line) == nil {
			t.Errorf("%q is taken", line)
		}
	}
	if err := table.row("0xC1900101 - 0x20017\tdriver-incompatible\t0.4\tnote"); err != nil {
		t.Error(err)
	}
	if s := table.byCode[codeKey{0xC1900101, 0x20017}]; len(s) != 1 || s[0] != (Share{"driver-incompatible", 0.4}) {
		t.Errorf("%+v", table.byCode)
	}
}

// A setup code that the table does not have with this extend code is looked up alone.
func TestUsual(t *testing.T) {
	with, without := Usual(0xC1900101, 0x20017), Usual(0xC1900101, 0)
	if len(with) == 0 || len(without) == 0 {
		t.Fatal("the table does not know 0xC1900101")
	}
	if got := Usual(0xC1900101, 0xFFFFF); !slices.Equal(got, without) {
		t.Errorf("%v, want %v", got, without)
	}
	for i, s := range with[1:] {
		if s.Weight > with[i].Weight {
			t.Errorf("not the commonest first: %v", with)
		}
	}
	for _, s := range CodesOf("proxy-auth-required") {
		if !slices.Contains(Usual(s.Code, s.Extend), Share{"proxy-auth-required", s.Weight}) {
			t.Errorf("%+v is not in the table", s)
		}
	}
}

// Checks are pure, and on a machine of which nothing is known they know nothing.
func TestChecksKnowNothingOfNothing(t *testing.T) {
	for _, c := range Catalogue() {
		v := c.Check(&facts.Facts{})
		if v.State != facts.Unknown || len(v.Evidence) != 0 {
			t.Errorf("%s of a machine of which nothing is known: %+v", c.ID, v)
		}
		if len(v.Missing) == 0 && c.ID != "unknown-other" {
			t.Errorf("%s does not say what would settle it", c.ID)
		}
		if again := c.Check(&facts.Facts{}); fmt.Sprint(again) != fmt.Sprint(v) {
			t.Errorf("%s says another thing when asked again", c.ID)
		}
	}
}

// TestVocabulary: the catalogue holds every cause that the project's own list
// names, where that list is to be had.
func TestVocabulary(t *testing.T) {
	b, err := os.ReadFile(filepath.FromSlash("../../../shared/facts/causes.tsv"))
	if err != nil {
		t.Skip("../shared/facts/causes.tsv is not here: the catalogue is not compared with it")
	}
	ids := map[string]bool{}
	for _, c := range Catalogue() {
		ids[c.ID] = true
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		id, _, _ := strings.Cut(line, "\t")
		if id == "id" || id == "" {
			continue
		}
		listed[id] = true
		if id != "none" && !ids[id] {
			t.Errorf("cause %s is not in the catalogue", id)
		}
	}
	if ids["none"] {
		t.Error("none means healthy and is no cause")
	}
	for id := range ids {
		if !listed[id] {
			t.Errorf("cause %s is not in the list", id)
		}
	}
}
