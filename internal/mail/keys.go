package mail

import (
	"encoding/binary"
	"fmt"

	"tidemark/internal/store"
)

// The key space. Nobody outside this file builds or takes apart a key.
//
// In the system account:
//
//	u name            userRecord
//	s                 systemRecord
//	r account         nothing: the account of a user who was removed, to be erased
//
// In each other account:
//
//	a                 accountMeta
//	n name            nameRecord: what the name stands for, and its subscription
//	m mailbox         mailboxMeta
//	l mailbox modseq  logRecord
//	c mailbox uid     snapshot chunk whose first message has that UID
//	d mailbox uid     details of the messages of that chunk
//	e email           emailRecord: what was worked out at arrival
//	t email           textRecord: what SEARCH looks for most
//	b mailbox         textBlocks: the runs of messages that have text columns
//	x mailbox column uid  textColumn of a run of messages, the first of which has that UID
//	g number          garbageRecord: emails that may have lost their last message
//	k hash            importRecord: a message that an import has brought
//
// Numbers are big endian, so that their order is the key order: mailbox and uid
// have 4 bytes, modseq, email and number have 8.
const (
	kindUser    = 'u'
	kindSystem  = 's'
	kindRemoved = 'r'
	kindAccount = 'a'
	kindName    = 'n'
	kindMailbox = 'm'
	kindLog     = 'l'
	kindChunk   = 'c'
	kindDetails = 'd'
	kindEmail   = 'e'
	kindText    = 't'
	kindBlocks  = 'b'
	kindColumn  = 'x'
	kindGarbage = 'g'
	kindImport  = 'k'
)

// systemAccount holds what belongs to no one user.
const systemAccount store.AccountID = 0

type (
	mailboxID uint32
	emailID   uint64
)

var (
	accountKey = []byte{kindAccount}
	systemKey  = []byte{kindSystem}
)

func userKey(name string) []byte   { return append([]byte{kindUser}, name...) }
func nameKey(name string) []byte   { return append([]byte{kindName}, name...) }
func importKey(hash []byte) []byte { return append([]byte{kindImport}, hash...) }

func mailboxKey(id mailboxID) []byte {
	return binary.BigEndian.AppendUint32([]byte{kindMailbox}, uint32(id))
}

func logKey(id mailboxID, modseq uint64) []byte {
	b := make([]byte, 0, 13)
	b = binary.BigEndian.AppendUint32(append(b, kindLog), uint32(id))
	return binary.BigEndian.AppendUint64(b, modseq)
}

func chunkKey(id mailboxID, uid uint32) []byte   { return messageKey(kindChunk, id, uid) }
func detailsKey(id mailboxID, uid uint32) []byte { return messageKey(kindDetails, id, uid) }

func messageKey(kind byte, id mailboxID, uid uint32) []byte {
	b := make([]byte, 0, 9)
	b = binary.BigEndian.AppendUint32(append(b, kind), uint32(id))
	return binary.BigEndian.AppendUint32(b, uid)
}

func textBlocksKey(id mailboxID) []byte {
	return binary.BigEndian.AppendUint32([]byte{kindBlocks}, uint32(id))
}

func columnKey(id mailboxID, column textColumn, uid uint32) []byte {
	b := make([]byte, 0, 10)
	b = binary.BigEndian.AppendUint32(append(b, kindColumn), uint32(id))
	return binary.BigEndian.AppendUint32(append(b, byte(column)), uid)
}

func emailKey(e emailID) []byte  { return number8(kindEmail, uint64(e)) }
func textKey(e emailID) []byte   { return number8(kindText, uint64(e)) }
func garbageKey(n uint64) []byte { return number8(kindGarbage, n) }

func removedKey(id store.AccountID) []byte { return number8(kindRemoved, uint64(id)) }

func number8(kind byte, n uint64) []byte {
	b := make([]byte, 0, 9)
	return binary.BigEndian.AppendUint64(append(b, kind), n)
}

// kindRange returns the bounds of all keys of a kind.
func kindRange(kind byte) (start, end []byte) {
	return []byte{kind}, []byte{kind + 1}
}

// logRange returns the bounds of a mailbox's log records after modseq and up to
// last.
func logRange(id mailboxID, after, last uint64) (start, end []byte) {
	return logKey(id, after+1), logKey(id, last+1)
}

// ofMailbox returns the bounds of all keys of a kind that belong to one mailbox.
func ofMailbox(kind byte, id mailboxID) (start, end []byte) {
	start = binary.BigEndian.AppendUint32([]byte{kind}, uint32(id))
	end = binary.BigEndian.AppendUint32([]byte{kind}, uint32(id)+1)
	return start, end
}

// kindNames says what an operator may know the records by, in the order of the keys.
var kindNames = [...]struct {
	kind byte
	name string
}{
	{kindAccount, "the counters of the account"},
	{kindBlocks, "lists of text columns"},
	{kindChunk, "lists of messages"},
	{kindDetails, "sizes and dates of messages"},
	{kindEmail, "summaries of messages"},
	{kindGarbage, "notes of expunged messages"},
	{kindImport, "notes of imported messages"},
	{kindLog, "changes of mailboxes"},
	{kindMailbox, "heads of mailboxes"},
	{kindName, "names of mailboxes"},
	{kindRemoved, "notes of removed users"},
	{kindSystem, "the counter of accounts"},
	{kindText, "search texts of messages"},
	{kindUser, "users"},
	{kindColumn, "text columns"},
}

// kindsWithin names the kinds of records that an account has from one key to another.
// An empty key means the end of the account.
func kindsWithin(id store.AccountID, from, until []byte) (names []string) {
	for _, k := range kindNames {
		system := k.kind == kindUser || k.kind == kindSystem || k.kind == kindRemoved
		if system == (id == systemAccount) && (len(from) == 0 || k.kind >= from[0]) && (len(until) == 0 || k.kind <= until[0]) {
			names = append(names, k.name)
		}
	}
	return names
}

// recordName says what the record at key is of its user, mailbox or message.
func recordName(key []byte) string {
	switch key[0] {
	case kindUser:
		return "the user's record"
	case kindSystem:
		return "the counter of accounts"
	case kindRemoved:
		return "a note of a removed user"
	case kindAccount:
		return "the account's counters"
	case kindName:
		return "the record of the name"
	case kindMailbox:
		return "the mailbox's head"
	case kindLog:
		return fmt.Sprintf("change %d", lastNumber8(key))
	case kindChunk:
		return fmt.Sprintf("the list of messages from UID %d on", binary.BigEndian.Uint32(key[5:]))
	case kindDetails:
		return fmt.Sprintf("the sizes and dates of messages from UID %d on", binary.BigEndian.Uint32(key[5:]))
	case kindEmail:
		return "the summary"
	case kindText:
		return "the text for SEARCH"
	case kindBlocks:
		return "the list of text columns"
	case kindColumn:
		return fmt.Sprintf("the text column %d from UID %d on", key[5], binary.BigEndian.Uint32(key[6:]))
	case kindGarbage:
		return "a note of expunged messages"
	case kindImport:
		return "a note of an imported message"
	}
	return fmt.Sprintf("record %q", key)
}

func userOfKey(key []byte) string      { return string(key[1:]) }
func nameOfKey(key []byte) string      { return string(key[1:]) }
func mailboxIDOf(key []byte) mailboxID { return mailboxID(binary.BigEndian.Uint32(key[1:])) }
func lastNumber8(key []byte) uint64    { return binary.BigEndian.Uint64(key[len(key)-8:]) }
