package auth

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/go-crypt/x/yescrypt"

	"tidemark/sasl"
)

// The most that checking one password may cost. What asks for more is a slip or an attack:
// bcrypt of cost 31 takes a processor for a day. At the limits it takes some seconds.
const (
	maxBcryptCost   = 15
	maxCryptRounds  = 2_000_000 // of SHA-crypt
	maxPBKDF2Rounds = sasl.MaxIterations
	maxHashMemory   = 1 << 30 // octets, of argon2, scrypt and yescrypt
	maxHashPasses   = 8       // over so much memory, or more over less
)

// checkCost refuses a hash in modular crypt form that costs too much to check. What is
// wrong with it otherwise is left to the decoder.
func checkCost(encoded string) error {
	parts := strings.Split(encoded, "$")
	if len(parts) < 3 {
		return nil
	}
	params := hashParameters(parts[2:]) // for one that is missing stands the decoder's
	switch parts[1] {
	case "2", "2a", "2b", "2x", "2y":
		return atMost("the cost of bcrypt", number(parts[2]), maxBcryptCost)
	case "bcrypt-sha256":
		return atMost("the cost of bcrypt", params["r"], maxBcryptCost)
	case "5", "6":
		return atMost("the number of rounds", params["rounds"], maxCryptRounds)
	case "argon2i", "argon2d", "argon2id":
		return checkMemory(cmp.Or(params["m"], 1<<21)*1024, cmp.Or(params["t"], 1))
	case "scrypt":
		return checkMemory(scryptMemory(cmp.Or(params["ln"], 16), cmp.Or(params["r"], 8)), cmp.Or(params["p"], 1))
	case "y":
		if _, ln, r, err := yescrypt.DecodeSetting([]byte(parts[2])); err == nil {
			return checkMemory(scryptMemory(float64(ln), float64(r)), 1)
		}
	}
	return nil
}

// checkMemory is for kinds of hashes that go over memory, in octets, several times.
func checkMemory(memory, passes float64) error {
	if err := atMost("the memory in octets", memory, maxHashMemory); err != nil {
		return err
	}
	return atMost("the number of octets of memory in all passes", memory*passes, maxHashMemory*maxHashPasses)
}

// scryptMemory is how much scrypt takes with its parameters N, as a power of two, and r.
func scryptMemory(log2N, blockSize float64) float64 { return 128 * blockSize * math.Exp2(log2N) }

func atMost(what string, have, most float64) error {
	if have > most {
		return fmt.Errorf("checking it would take too much: %s is over %.0f", what, most)
	}
	return nil
}

// hashParameters returns the numbers of all name=number, separated by commas. Of one that
// is there twice the higher counts.
func hashParameters(parts []string) map[string]float64 {
	all := make(map[string]float64)
	for _, part := range parts {
		for p := range strings.SplitSeq(part, ",") {
			if name, value, ok := strings.Cut(p, "="); ok {
				all[name] = max(all[name], number(value))
			}
		}
	}
	return all
}

// number returns 0 for what is none.
func number(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) {
		return 0
	}
	return n
}
