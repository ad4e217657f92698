package imapwire

// The character classes of RFC 9051 §9 as bits of one table.
const (
	classAtom     = 1 << iota // ATOM-CHAR
	classAString              // ASTRING-CHAR
	classTag                  // ASTRING-CHAR without "+"
	classList                 // list-char
	classQuoted               // what may stand between DQUOTEs unescaped, octets of UTF-8 included
	classObjectID             // objectid of RFC 8474 §7
	classLabel                // letters, digits, "." and "-": names of items, keys and options
)

var classes = makeClasses()

func makeClasses() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		printable := c > ' ' && c < 0x7f
		special := c == '(' || c == ')' || c == '{' || c == '%' || c == '*' || c == '"' || c == '\\' || c == ']'
		if printable && !special {
			t[i] |= classAtom
		}
		if t[i]&classAtom != 0 || c == ']' {
			t[i] |= classAString | classList
			if c != '+' {
				t[i] |= classTag
			}
		}
		if c == '%' || c == '*' {
			t[i] |= classList
		}
		if c != 0 && c != '\r' && c != '\n' && c != '"' && c != '\\' {
			t[i] |= classQuoted
		}
		if isAlnum(c) || c == '_' || c == '-' {
			t[i] |= classObjectID
		}
		if isAlnum(c) || c == '.' || c == '-' {
			t[i] |= classLabel
		}
	}
	return t
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// allOf says whether every octet of s is in class.
func allOf[S ~string | ~[]byte](s S, class uint8) bool {
	for i := 0; i < len(s); i++ {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}
