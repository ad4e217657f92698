package mail

import (
	"encoding/binary"

	"tidemark/internal/store"
)

// The key space. Nobody outside this file builds or takes apart a key.
//
// In the system account:
//
//	u name            userRecord
//	s                 systemRecord
//
// In each other account:
//
//	a                 accountMeta
//	n name            nameRecord: what the name stands for, and its subscription
//	m mailbox         mailboxMeta
//	l mailbox modseq  logRecord
//	c mailbox uid     snapshot chunk whose first message has that UID
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
	kindAccount = 'a'
	kindName    = 'n'
	kindMailbox = 'm'
	kindLog     = 'l'
	kindChunk   = 'c'
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

func chunkKey(id mailboxID, uid uint32) []byte {
	b := make([]byte, 0, 9)
	b = binary.BigEndian.AppendUint32(append(b, kindChunk), uint32(id))
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

func mailboxIDOf(key []byte) mailboxID { return mailboxID(binary.BigEndian.Uint32(key[1:])) }
func lastNumber8(key []byte) uint64    { return binary.BigEndian.Uint64(key[len(key)-8:]) }
