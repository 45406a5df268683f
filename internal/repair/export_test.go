package repair

import (
	"encoding/json"
	"maps"
	"testing"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/procedure"
)

// SetCourse has the table of courses hold one more for a test, which must not run beside
// others.
func SetCourse(t testing.TB, name string, make func(json.RawMessage) (procedure.Procedure, error)) {
	t.Helper()
	old := courses
	t.Cleanup(func() { courses = old })
	courses = maps.Clone(courses)
	courses[name] = make
}

// Doings is what the journal says was done of the course of a treatment.
func Doings(j *Journal, treatment int) []procedure.Done {
	if d := j.progress().courses[treatment]; d != nil {
		return d.done
	}
	return nil
}

// Testify is what Windows says for an install and against it, by the ids of the sentences,
// and the code with which it says that it failed.
func Testify(before, now *host.Installed, a host.Attempt, restarted bool) (said, against []string, code codes.HRESULT) {
	t := testify(before, now, a, restarted)
	for _, l := range t.said {
		said = append(said, l.ID)
	}
	for _, l := range t.against {
		against = append(against, l.ID)
	}
	return said, against, t.code
}
