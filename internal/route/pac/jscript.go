package pac

import (
	"reflect"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/token"
)

// This file makes an engine as old as the one that WinHTTP uses. Syntax beyond
// the third edition of ECMA-262 (1999) is refused before the script runs; objects
// and functions beyond its library are taken away, so that a script which brings
// its own replacement works and one which does not throws, as there.
//
// What JScript has beyond the standard (@cc_on, Enumerator, VBArray) is not
// imitated, nor that it cannot index strings.

// tooNew returns the first construct of a program that is younger than JScript.
func tooNew(tree *ast.Program) *Error {
	var found *Error
	inspect(reflect.ValueOf(tree.Body), func(n ast.Node) bool {
		if what := newer(n); what != "" && found == nil {
			found = (&Error{Fault: FaultDialect, Detail: what}).at(tree, start(n))
		}
		return found == nil
	})
	return found
}

// start is Idx0 for nodes whose children may be missing.
func start(n ast.Node) (i file.Idx) {
	defer func() { _ = recover() }() // an empty pattern has no first element
	return n.Idx0()
}

// newer names what of a node JScript does not know; "" if it knows the node.
func newer(n ast.Node) string {
	switch n := n.(type) {
	case *ast.LexicalDeclaration:
		return n.Token.String() + " declaration"
	case *ast.ForLoopInitializerLexicalDecl, *ast.ForDeclaration:
		return "let or const declaration"
	case *ast.ArrowFunctionLiteral:
		return "arrow function"
	case *ast.ClassLiteral, *ast.ClassDeclaration:
		return "class"
	case *ast.TemplateLiteral:
		return "template string"
	case *ast.ForOfStatement:
		return "for … of"
	case *ast.SpreadElement:
		return "spread"
	case *ast.ArrayPattern, *ast.ObjectPattern:
		return "destructuring"
	case *ast.OptionalChain, *ast.Optional:
		return "optional chaining"
	case *ast.AwaitExpression, *ast.YieldExpression:
		return "async function or generator"
	case *ast.FunctionLiteral:
		if n.Async || n.Generator {
			return "async function or generator"
		}
		if n.ParameterList != nil && newParameters(n.ParameterList) {
			return "default or rest parameter"
		}
	case *ast.PropertyShort:
		return "property shorthand"
	case *ast.PropertyKeyed:
		switch {
		case n.Computed:
			return "computed property name"
		case n.Kind == ast.PropertyKindGet || n.Kind == ast.PropertyKindSet:
			return "getter or setter"
		case n.Kind == ast.PropertyKindMethod:
			return "method shorthand"
		}
	case *ast.BinaryExpression:
		if n.Operator == token.EXPONENT || n.Operator == token.COALESCE {
			return "operator " + n.Operator.String()
		}
	case *ast.AssignExpression:
		if n.Operator == token.EXPONENT || n.Operator == token.COALESCE {
			return "operator " + n.Operator.String() + "="
		}
	case *ast.NumberLiteral:
		if len(n.Literal) > 1 && n.Literal[0] == '0' && strings.ContainsAny(n.Literal[1:2], "bBoO") {
			return "binary or octal number"
		}
	case *ast.RegExpLiteral:
		if strings.Trim(n.Flags, "gim") != "" {
			return "regular expression flag " + strings.Trim(n.Flags, "gim")
		}
		if strings.Contains(n.Pattern, "(?<") || strings.Contains(n.Pattern, `\p{`) {
			return "regular expression syntax"
		}
	case *ast.MetaProperty:
		return "new.target"
	}
	return ""
}

func newParameters(p *ast.ParameterList) bool {
	return p.Rest != nil || slices.ContainsFunc(p.List, func(b *ast.Binding) bool { return b.Initializer != nil })
}

// inspect calls f with every node below v, outer ones first, until f says stop.
// The tree is finite, and no deeper than the parser that built it could go.
func inspect(v reflect.Value, f func(ast.Node) bool) bool {
	switch v.Kind() {
	case reflect.Interface:
		return v.IsNil() || inspect(v.Elem(), f)
	case reflect.Pointer:
		if v.IsNil() || !strings.HasSuffix(v.Type().Elem().PkgPath(), "/ast") {
			return true
		}
		if n, ok := v.Interface().(ast.Node); ok && !f(n) {
			return false
		}
		return inspect(v.Elem(), f)
	case reflect.Slice:
		for i := range v.Len() {
			if !inspect(v.Index(i), f) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			// DeclarationList repeats declarations that stand in the body.
			if t := v.Type().Field(i); !t.IsExported() || t.Name == "DeclarationList" {
				continue
			}
			if !inspect(v.Field(i), f) {
				return false
			}
		}
	}
	return true
}

// library is what JScript 5.7 has, by object: ECMA-262, third edition, chapter 15
// and annex B, and the HTML methods of strings. "" is the global object.
var library = map[string]string{
	"": `NaN Infinity undefined eval parseInt parseFloat isNaN isFinite decodeURI decodeURIComponent encodeURI
		encodeURIComponent escape unescape Object Function Array String Boolean Number Date RegExp Error EvalError
		RangeError ReferenceError SyntaxError TypeError URIError Math`,
	"Object":             `length name prototype`,
	"Object.prototype":   `constructor toString toLocaleString valueOf hasOwnProperty isPrototypeOf propertyIsEnumerable`,
	"Function.prototype": `constructor length name toString apply call`,
	"Array":              `length name prototype`,
	"Array.prototype":    `constructor length toString toLocaleString concat join pop push reverse shift slice sort splice unshift`,
	"String":             `length name prototype fromCharCode`,
	"String.prototype": `constructor length toString valueOf charAt charCodeAt concat indexOf lastIndexOf localeCompare match
		replace search slice split substring substr toLowerCase toLocaleLowerCase toUpperCase toLocaleUpperCase anchor big blink
		bold fixed fontcolor fontsize italics link small strike sub sup`,
	"Number":           `length name prototype MAX_VALUE MIN_VALUE NaN NEGATIVE_INFINITY POSITIVE_INFINITY`,
	"Number.prototype": `constructor toString toLocaleString valueOf toFixed toExponential toPrecision`,
	"Math": `E LN10 LN2 LOG2E LOG10E PI SQRT1_2 SQRT2 abs acos asin atan atan2 ceil cos exp floor log max min pow random round
		sin sqrt tan`,
	"Date": `length name prototype parse UTC`,
	"Date.prototype": `constructor toString toDateString toTimeString toLocaleString toLocaleDateString toLocaleTimeString valueOf
		getTime getFullYear getUTCFullYear getMonth getUTCMonth getDate getUTCDate getDay getUTCDay getHours getUTCHours getMinutes
		getUTCMinutes getSeconds getUTCSeconds getMilliseconds getUTCMilliseconds getTimezoneOffset setTime setMilliseconds
		setUTCMilliseconds setSeconds setUTCSeconds setMinutes setUTCMinutes setHours setUTCHours setDate setUTCDate setMonth
		setUTCMonth setFullYear setUTCFullYear toUTCString toGMTString getYear setYear`,
}

// keepOld takes everything out of a new engine that JScript does not have.
func (r *run) keepOld() {
	for path, words := range library {
		object := r.GlobalObject()
		for name := range strings.SplitSeq(path, ".") {
			if name != "" {
				object = object.Get(name).ToObject(r.Runtime)
			}
		}
		keep := strings.Fields(words)
		for _, name := range object.GetOwnPropertyNames() {
			if !slices.Contains(keep, name) && path != "" {
				_ = object.Delete(name)
			}
		}
	}
	// The global object last: the others are found through it.
	keep := strings.Fields(library[""])
	for _, name := range r.GlobalObject().GetOwnPropertyNames() {
		if !slices.Contains(keep, name) {
			_ = r.GlobalObject().Delete(name)
		}
	}
}
