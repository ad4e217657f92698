// Package clienttest has tests only: the built binary is run as its users run it,
// with the mail programs that they use, and killed as power cuts do.
//
// A program that is missing fails its test and the message names the Debian
// package; "make test" installs them all.
package clienttest
