package pac

import (
	"slices"
	"time"
)

// The functions of this file are about time. Netscape's text lists their forms;
// bounds are inclusive, and a range whose end lies before its beginning goes over
// the end of the week, year, month or day ("the order matters"). Arguments that
// fit no form make the condition false.

// arg is an argument of a time function: a word or a whole number.
type arg struct {
	word   string
	number int
}

var (
	weekdays = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
	months   = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
)

// zone takes a last "GMT" off the arguments and turns the clock by it.
func zone(now time.Time, args []arg) (time.Time, []arg) {
	if n := len(args); n > 0 && args[n-1].word == "GMT" {
		return now.UTC(), args[:n-1]
	}
	return now, args
}

// within reports that x lies in the closed range, which may wrap.
func within(from, x, to int) bool {
	if from <= to {
		return from <= x && x <= to
	}
	return x >= from || x <= to
}

// weekdayRange(wd1 [, wd2] [, "GMT"])
func weekdayRange(now time.Time, args []arg) bool {
	now, args = zone(now, args)
	if len(args) != 1 && len(args) != 2 {
		return false
	}
	from, to := slices.Index(weekdays, args[0].word), slices.Index(weekdays, args[len(args)-1].word)
	return from >= 0 && to >= 0 && within(from, int(now.Weekday()), to)
}

// timeRange(hour [, "GMT"]), and with two hours, two hours and minutes, or two
// hours, minutes and seconds. A single hour lasts until the next; an end is the
// very second: timeRange(12, 13) holds from noon to one o'clock.
func timeRange(now time.Time, args []arg) bool {
	now, args = zone(now, args)
	for i, a := range args {
		most := 59
		if i%max(len(args)/2, 1) == 0 {
			most = 23
		}
		if a.word != "" || a.number < 0 || a.number > most {
			return false
		}
	}
	hour, minute, second := now.Clock()
	x := hour*3600 + minute*60 + second
	seconds := func(args []arg) int {
		sum, unit := 0, 3600
		for _, a := range args {
			sum += a.number * unit
			unit /= 60
		}
		return sum
	}
	switch n := len(args); n {
	case 1:
		return hour == args[0].number
	case 2, 4, 6:
		return within(seconds(args[:n/2]), x, seconds(args[n/2:]))
	}
	return false
}

// date is a day, month or year, or several of them; what is not given is 0.
type date struct{ day, month, year int }

// dateRange(day), (month), (year), two of them, and two of (day, month),
// (month, year) and (day, month, year); each with "GMT". A date alone, as in
// Netscape's example dateRange(24, "DEC", 1995), is that date.
func dateRange(now time.Time, args []arg) bool {
	now, args = zone(now, args)
	today := date{now.Day(), int(now.Month()), now.Year()}
	if one, ok := readDate(args); ok {
		return today.only(one) == one
	}
	n := len(args) / 2
	from, ok := readDate(args[:n])
	to, ok2 := readDate(args[n:])
	if !ok || !ok2 || from.only(to) != from || to.only(from) != to {
		return false
	}
	x := today.only(from)
	if from.year != 0 { // years do not come again
		return from.number() <= x.number() && x.number() <= to.number()
	}
	return within(from.number(), x.number(), to.number())
}

// readDate reads at most a day, a month and a year, in this order. A number of
// more than 31 is a year.
func readDate(args []arg) (d date, ok bool) {
	if len(args) == 0 || len(args) > 3 {
		return d, false
	}
	for _, a := range args {
		month := slices.Index(months, a.word) + 1
		switch {
		case a.word == "" && a.number >= 1 && a.number <= 31 && d == date{}:
			d.day = a.number
		case month > 0 && d.month == 0 && d.year == 0:
			d.month = month
		case a.word == "" && a.number > 31 && a.number <= 9999 && d.year == 0:
			d.year = a.number
		default:
			return d, false
		}
	}
	return d, d.day == 0 || d.year == 0 || d.month != 0
}

// only keeps of d what is given in form.
func (d date) only(form date) date {
	if form.day == 0 {
		d.day = 0
	}
	if form.month == 0 {
		d.month = 0
	}
	if form.year == 0 {
		d.year = 0
	}
	return d
}

func (d date) number() int { return d.year*10000 + d.month*100 + d.day }
