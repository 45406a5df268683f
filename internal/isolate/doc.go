// Package isolate finds which of the programs that start with Windows breaks updating:
// the clean boot that support pages tell people to do by hand, done by a program that
// measures.
//
// Stock takes a machine's answer about what starts with it and says of each entry
// whether it may be switched off, and if not, why. Search finds what is to blame among
// entries that may, with as few restarts as it can. Procedure makes of both a cure
// for the runner of internal/repair: acts under a journal, all of which are taken back
// when it is over, however it ends.
package isolate
