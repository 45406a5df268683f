package facts

import (
	"cmp"
	"strings"

	"updoc/internal/redact"
	"updoc/internal/sorted"
)

// People who ask for help tell what they tried: "I already ran SFC and DISM, reset
// the components and switched McAfee off. Nothing helped." Nothing of that is what
// is wrong; some of it is ruled out by it. So of every sentence of a note it is told
// whether it dismisses what it names.

// dismissed returns where a note tells what was tried in vain, or what is not to
// blame: pairs of offsets, in order.
func dismissed(text string) [][2]int {
	var out [][2]int
	var tries [][2]int // sentences about what was tried, not judged yet
	asked := [2]int{}  // the sentence before, if it is a question
	// What a redactor removed was no try: a redacted note has to get the same answer.
	text = strings.ReplaceAll(text, redact.Mark, strings.Repeat("_", len(redact.Mark)))
	for from, to := range sentences(text) {
		s := text[from:to]
		for _, m := range soundThings().FindAllStringIndex(s, -1) {
			out = append(out, [2]int{from + m[0], from + m[1]})
		}
		if asked[1] > 0 && answeredNo().MatchString(s) {
			out = append(out, asked)
		}
		asked = [2]int{}
		if strings.HasSuffix(strings.TrimSpace(s), "?") {
			asked = [2]int{from, to}
		}
		switch cured, vain := cureWords().MatchString(s), vainWords().MatchString(s); {
		case cured && !vain:
			tries = tries[:0]
		case vain && tryWords().MatchString(s) && !cured && !foundWords().MatchString(s), toldTries().MatchString(s) && !cured, acquitted().MatchString(s),
			!cured && len(tryWords().FindAllStringIndex(s, manyTries)) == manyTries && !strings.Contains(s, "0x"):
			asked = [2]int{}
			out = append(append(out, tries...), [2]int{from, to})
			tries = tries[:0]
		case vain && backwards().MatchString(s): // it speaks of the sentences before it
			out = append(out, tries...)
			tries = tries[:0]
		case tryWords().MatchString(s) && !foundWords().MatchString(s):
			tries = append(tries, [2]int{from, to})
		default:
			tries = tries[:0]
		}
	}
	return merged(out)
}

// merged puts spans in order, each byte in one of them at most.
func merged(spans [][2]int) [][2]int {
	sorted.By(spans, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && s[0] < out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], s[1])
			continue
		}
		out = append(out, s)
	}
	return out
}

// manyTries is how many things done one after the other, without a word on what came
// of them, are a list of what did not help.
const manyTries = 3

// sentences yields the bounds of what stands between the ends of sentences and lines.
func sentences(text string) func(yield func(int, int) bool) {
	return func(yield func(int, int) bool) {
		from := 0
		for i := 0; i < len(text); i++ {
			end := text[i] == '\n' || (text[i] == '.' || text[i] == '!' || text[i] == '?' || text[i] == ';') && i+1 < len(text) && text[i+1] == ' '
			if !end {
				continue
			}
			if strings.TrimSpace(text[from:i]) != "" && !yield(from, i+1) {
				return
			}
			from = i + 1
		}
		if strings.TrimSpace(text[from:]) != "" {
			yield(from, len(text))
		}
	}
}

var (
	// What people do against a failure.
	tryWords = lazily(`(?i)\b(tried|tries|trying|uninstall\w*|disabl(ed|ing)|deactivat\w*|turn(ed|ing)? off|switch(ed|ing)? off|reset\w*|renam(ed|ing)|delet(ed|ing)|clear(ed|ing)|emptied|reinstall\w*|repair(ed|ing)|rebuilt|flush(ed|ing)|off|ran|re-?ran|did|sfc|dism|chkdsk|troubleshooter|clean boot|changed|swapped|replaced|remov(ed|ing)|excluded|bypassed|versucht|probiert|deinstallier\w*|deaktivier\w*|gelöscht|geleert|umbenannt|zurückgesetzt)\b`)
	// That it was in vain.
	vainWords = lazily(`(?i)^\W*same\W*$|\b(nothing|none|neither) (of (it|them|that|these|those|this)|(has )?help(s|ed)|work(s|ed)|changed?|did)\b|\b(did|does|do|has|have|was|were)(n'?t| not) (any )?(help|change|fix|solve|cure|make a|any difference|any effect)|\bno (luck|help|success|avail|change|difference|effect|joy|improvement|use|good|result)\b|\b(without|kein\w*|ohne) (any )?(success|luck|effect|result|change|erfolg|wirkung)|\b(in vain|to no avail|useless|same (error|result|problem|thing|code|issue|failure|message)|still (the same|fails?|failing|there|no|not|get|gets|refuses)|but still|not help|vergeb\w+|umsonst|half nicht|hat nichts|hilft nicht|bringt nichts)\b`)
	// That it was not.
	cureWords = lazily(`(?i)\b(fixed|fixes|solved|solves|cured|cures|did the trick|resolved it|resolves|was the culprit|is the culprit|was the cause|went through|goes through|install(s|ed) (fine|cleanly|at once|now|then|again|without)|updates? install(s|ed)|passed|passes|succeed(s|ed)|went (fine|well|in|ok)|updates? (work|go|went)|works? (now|again|fine)|worked (again|after|once|fine)|helped\b.{0,40}$|until (i|we)|solange bis|behoben|gelöst|geholfen|danach ging|seitdem)\b`)
	// A list of tries that somebody gives who has no answer yet.
	toldTries = lazily(`(?i)^\W*(so far )?(i|we)?( ?'?ve| have| had)? ?(already|also|both)? ?(tried|attempted)\b|\b(already|also) (tried|ran|did|done|run|reset|reinstalled|uninstalled|disabled|cleared|checked)\b|\b(i|we|she|he)('ve| have| has)? (already |even |also )?(tried|done all)\b|\btried (it )?(all|every\w*|the usual|various|many|several|different)\b|things (i|we) (have )?tried|next (i|we) will|\b(i|we) (will|'ll) try|going to try|went through all|^\W*(things|what|stuff|all)? ?(i|we)?('ve| have)? ?(tried|done)( so far)?\W|\b(schon|bereits|habe)\b.{0,40}\b(versucht|probiert|gemacht)\b`)
	// The answer to a question that somebody puts to himself.
	answeredNo = lazily(`(?i)^\W*(no|nope|nein|nö|never|not)\b`)
	// What a person found to be as it should, or is not there.
	soundThings = lazily(`(?i)\b((clocks?|time|date|dns|hosts( file)?|network|internet( connection)?|disk( space)?|memory|ram|services?|bits|wuauserv|ssu|servicing stack( update)?s?|sha-?2( support)?|tpm( 2\.0)?|tls( 1\.[23])?|secure boot|(root )?certificates?|roots|drivers?|bios|sfc|dism|chkdsk|restore ?health|component store)(( and|,| or|/) [\w-]+)*( of [\w ]{3,20})? (is|are|was|were|looks?|seems?|came (back|out)|comes? (back|out)|ends?|ran|runs?|reports?) (all |also |both |already |just |perfectly |absolutely )?(fine|ok(ay)?|correct|right|good|original|default|installed|there|present|running|up[- ]to[- ]date|current|in place|healthy|clean|working|reachable|set|synced|without (any )?(errors?|problems?)|no (errors?|problems?|corruption|violations?)|in ordnung)` +
		`|(clocks?|time|dns|hosts( file)?|proxy|proxies|vpn|firewall|antivirus|anti-virus|tls|roots|bios|sfc|dism|chkdsk|memory|disk)(:| is| are| was)? (fine|ok(ay)?|correct|right|original|default|clean|innocent|none|never used|not used|in ordnung))\b`)
	// Sentences that judge what stands before them.
	backwards = lazily(`(?i)^\W*(but |and |all |aber )?(nothing|none|neither|no |without|in vain|still|same|to no|that |this |it |did ?n[o']t|does ?n[o']t|all (of )?(that|this|in vain|without)|nichts|alles|leider|ohne|kein)`)
	// What a sentence says is not to blame.
	acquitted = lazily(`(?i)\b(?:ruled out|can be excluded|(is|was|are|were)(n'?t| not) the (cause|culprit|problem|reason|issue)|not to blame|(has|had) nothing to do with|unrelated to|so it('s| is) not|is innocent|(i|we) (first )?(thought|suspected|guessed|assumed|blamed)|my first (thought|guess|idea)|\b(vpn|wsus|sccm|firewall|antivirus|anti-virus|ipv6|crowdstrike|sentinelone|edr|norton|mcafee|kaspersky|avast|bitdefender|sophos|malwarebytes|pi-?hole|adguard)\b[^.;,]{0,25}\b((is|was|are|were)( switched| turned)? off|none|(isn'?t|not|no longer|nicht) (in )?(used?|configured|installed|active|involved|present|connected|running))|ausgeschlossen|liegt es nicht|nicht schuld)\b`)
	// What was done and told something: that counts.
	foundWords = lazily(`(?i)\b(found|finds|says|said|reports?|reported|shows?|showed|complains?|cannot|could not|couldn't|prints?|lists?|0x[0-9a-f]{6,8}|log)\b`)
)

// TellsCure reports whether a sentence tells what cured.
func TellsCure(sentence string) bool {
	return cureWords().MatchString(sentence) && !vainWords().MatchString(sentence)
}

// within reports whether an offset lies in one of the spans.
func within(spans [][2]int, at int) bool {
	for _, s := range spans {
		if s[0] <= at && at < s[1] {
			return true
		}
	}
	return false
}

// Undismissed returns a note without the sentences that tell what was tried in vain
// or is not to blame.
func Undismissed(text string) string {
	spans := dismissed(text)
	if len(spans) == 0 {
		return text
	}
	b := []byte(text)
	for _, s := range spans {
		for i := s[0]; i < s[1]; i++ {
			if b[i] != '\n' {
				b[i] = ' '
			}
		}
	}
	return string(b)
}
