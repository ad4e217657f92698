// Package testbed is what tests that run servers and other programs stand on: how long
// they wait, which ports they take, how they read a log that is still written.
package testbed

import "time"

// Patience is how long a test waits for what must come. A test never measures by it: where
// nothing is wrong, the slowest machine does not come near it.
const Patience = 3 * time.Minute
