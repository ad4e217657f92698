package main

import (
	"fmt"
	"math"
)

// Units of rows.
const (
	perSecond = "/s"
	millis    = "ms"
)

// workloads is everything that can be measured. The goals are those of the project.
func workloads(o *options) []workload {
	list := append(sessionWorkloads(o), deliveryWorkloads(o)...)
	list = append(list, mailboxWorkloads(o)...)
	list = append(list, fetchWorkloads(o)...)
	list = append(list, searchWorkloads(o)...)
	list = append(list, changeWorkloads(o)...)
	list = append(list, idleWorkloads(o)...)
	return append(list, mixedWorkload(o), growthWorkload(o))
}

func sessionWorkloads(o *options) []workload {
	return []workload{
		{
			name: "login",
			rows: []row{{
				name: "login: handshake, LOGIN, LOGOUT, 8 connections", unit: perSecond, higher: true, goal: 2.5, cpuGoal: 2.5, op: "login",
			}},
			run: func(t *turn) error { return t.runLogin(8, o.scaled(3000)) },
		},
		{
			name: "noop",
			rows: []row{{name: "NOOP round trip", unit: millis, goal: 0.118 / 0.012, cpuGoal: 84.0 / 15, op: "NOOP"}},
			data: []mailbox{o.fullMailbox()},
			run:  func(t *turn) error { return t.runNoop(o.scaled(20_000)) },
		},
	}
}

func deliveryWorkloads(o *options) []workload {
	appendTo := func(conns, n int, goal float64) workload {
		name := fmt.Sprintf("APPEND, %d connections", conns)
		if conns == 1 {
			name = "APPEND, 1 connection"
		}
		return workload{
			name: fmt.Sprintf("append-%d", conns),
			rows: []row{{name: name, unit: perSecond, higher: true, goal: goal, cpuGoal: 3, op: "message"}},
			run:  func(t *turn) error { return t.runAppend(conns, conns, o.scaled(n)) },
		}
	}
	return []workload{
		appendTo(1, 1000, 2), appendTo(8, 4000, 3), appendTo(32, 4000, 4),
		{
			name: "append-same",
			rows: []row{{name: "APPEND, 8 connections, one mailbox", unit: perSecond, higher: true, goal: 4, cpuGoal: 3, op: "message"}},
			run:  func(t *turn) error { return t.runAppend(8, 1, o.scaled(4000)) },
		},
		{
			name: "lmtp",
			rows: []row{{name: "LMTP delivery, 8 connections", unit: perSecond, higher: true, goal: 4, cpuGoal: 4, op: "message"}},
			run:  func(t *turn) error { return t.runLMTP(8, o.scaled(4000)) },
		},
		{
			name:  "multiappend",
			rows:  []row{{name: "MULTIAPPEND of 2 KB messages", unit: perSecond, higher: true, goal: 8, cpuGoal: 4, op: "message"}},
			needs: []string{"MULTIAPPEND"},
			run:   func(t *turn) error { return t.runMultiAppend(o.scaled(20_000)) },
		},
	}
}

func mailboxWorkloads(o *options) []workload {
	big := []mailbox{o.bigMailbox()}
	of := " of " + number(o.messages)
	return []workload{
		{
			name: "select",
			rows: []row{
				{name: "SELECT" + of + ", after restart", unit: millis, goal: 1, op: "SELECT"},
				{name: "SELECT" + of + ", warm", unit: millis, goal: 2, op: "SELECT and UNSELECT"},
			},
			needs: []string{"UNSELECT"},
			data:  big,
			run:   (*turn).runSelect,
		},
		{
			name: "qresync",
			rows: []row{
				{name: "QRESYNC" + of + ", nothing changed", unit: millis, goal: 2, op: "SELECT and UNSELECT"},
				{name: "QRESYNC" + of + ", 100 changed", unit: millis, goal: 4.5 / 0.5, op: "SELECT and UNSELECT"},
				{name: "FETCH CHANGEDSINCE" + of + ", 100 changed", unit: millis, goal: 9, op: "FETCH"},
			},
			needs: []string{"QRESYNC", "UNSELECT"},
			data:  big,
			run:   (*turn).runQResync,
		},
		{
			name: "fetch-flags",
			rows: []row{{name: "UID FETCH 1:* (FLAGS)" + of, unit: millis, goal: 53.0 / 15, op: "FETCH"}},
			data: big,
			run:  (*turn).runFetchFlags,
		},
	}
}

func fetchWorkloads(o *options) []workload {
	full := []mailbox{o.fullMailbox()}
	n := min(o.fullMailbox().count, 1000)
	return []workload{
		{
			name: "fetch-metadata",
			rows: []row{
				{name: "FETCH metadata of " + number(n) + ", first", unit: millis, goal: 204.0 / 4, op: "FETCH"},
				{name: "FETCH metadata of " + number(n) + ", again", unit: millis, goal: 10.9 / 4, op: "FETCH"},
			},
			data: full,
			run:  func(t *turn) error { return t.runFetchMetadata(n) },
		},
		{
			name: "fetch-headers",
			rows: []row{
				{name: "FETCH header fields of " + number(n) + ", first", unit: millis, op: "FETCH"},
				{name: "FETCH header fields of " + number(n) + ", again", unit: millis, op: "FETCH"},
			},
			data: full,
			run:  func(t *turn) error { return t.runFetchHeaders(n) },
		},
		{
			name: "download",
			rows: []row{
				{name: "download of all bodies, 1 connection", unit: "MB/s", higher: true, goal: 2, cpuGoal: 2, op: "MB"},
				{name: "download of all bodies, 4 connections", unit: "MB/s", higher: true, goal: 2, cpuGoal: 2, op: "MB"},
			},
			data: full,
			run:  (*turn).runDownload,
		},
	}
}

// searchWorkloads are the questions that are asked once of a mailbox of which nothing is
// known, and then again. The goals are for the first time and the next.
func searchWorkloads(o *options) []workload {
	big, full := o.bigMailbox(), o.fullMailbox()
	since := big.gen.Date(big.count * 9 / 10).Format("2-Jan-2006")
	ask := func(name, what, command string, m mailbox, first, again float64, needs ...string) workload {
		what += " of " + number(m.count)
		return workload{
			name:  name,
			needs: needs,
			data:  []mailbox{m},
			rows: []row{
				{name: what + ", first", unit: millis, goal: first, op: "command"},
				{name: what + ", again", unit: millis, goal: again, op: "command"},
			},
			run: func(t *turn) error { return t.runQuestion(m, command) },
		}
	}
	return []workload{
		ask("search-unseen", "SEARCH UNSEEN", "UID SEARCH UNSEEN", big, 8.5/2, 8.5/2),
		ask("search-subject", "SEARCH SUBJECT", "UID SEARCH SUBJECT invoice", big, 2051.0/40, 308.0/40),
		ask("search-from", "SEARCH FROM", "UID SEARCH FROM quinn.mason", big, 2051.0/40, 304.0/40),
		ask("search-since", "SEARCH SENTSINCE", "UID SEARCH SENTSINCE "+since, big, 117.0/5, 117.0/5),
		ask("search-since-internal", "SEARCH SINCE", "UID SEARCH SINCE "+since, big, 117.0/5, 117.0/5),
		ask("search-body", "SEARCH BODY, no hit,", "UID SEARCH BODY zzqxjkvw", full, 4, 4),
		ask("search-text", "SEARCH TEXT, many hits,", "UID SEARCH TEXT harbour", full, 4, 4),
		ask("sort-date", "SORT REVERSE DATE", "UID SORT (REVERSE DATE) UTF-8 ALL", big, 1266.0/30, 72.0/30, "SORT"),
		ask("sort-subject", "SORT SUBJECT", "UID SORT (SUBJECT) UTF-8 ALL", big, 678.0/30, 47.0/30, "SORT"),
		ask("thread", "THREAD REFERENCES", "UID THREAD REFERENCES UTF-8 ALL", big, 2103.0/80, 424.0/80, "THREAD=REFERENCES"),
	}
}

func changeWorkloads(o *options) []workload {
	big := []mailbox{o.bigMailbox()}
	part := max(o.messages/10, 10)
	return []workload{
		{
			name: "store-one",
			rows: []row{
				{name: "STORE +FLAGS on one message", unit: millis, op: "STORE"},
				{name: "STORE +FLAGS on one message, 8 connections", unit: perSecond, higher: true, op: "STORE"},
			},
			data: []mailbox{o.fullMailbox()},
			run:  func(t *turn) error { return t.runStoreOne(o.scaled(1000)) },
		},
		{
			name: "store-early",
			rows: []row{
				{name: "STORE +FLAGS on one message, early_flags", unit: millis, goal: 2, op: "STORE"},
				{name: "STORE +FLAGS on one message, early_flags, 8 connections", unit: perSecond, higher: true, op: "STORE"},
			},
			data: []mailbox{o.fullMailbox()},
			run:  func(t *turn) error { return t.runStoreEarly(o.scaled(1000)) },
		},
		{
			name: "store-all",
			rows: []row{{name: "STORE 1:* on " + number(o.messages), unit: millis, goal: 3, op: "STORE"}},
			data: big,
			run:  (*turn).runStoreAll,
		},
		{
			name: "copy",
			rows: []row{
				{name: "COPY of " + number(part), unit: millis, goal: 178.0 / 20, op: "COPY"},
				{name: "MOVE of " + number(part), unit: millis, goal: 260.0 / 25, op: "MOVE"},
				{name: "EXPUNGE of " + number(part), unit: millis, goal: 50.0 / 12, op: "EXPUNGE"},
			},
			needs: []string{"MOVE"},
			data:  big,
			run:   func(t *turn) error { return t.runCopy(part) },
		},
	}
}

func idleWorkloads(o *options) []workload {
	push := workload{name: "push", run: func(t *turn) error { return t.runPush(pushWatchers(o)) }}
	goals := []float64{477 / 0.03, 508 / 0.33, 600 / 12.9}
	for i, n := range pushWatchers(o) {
		push.rows = append(push.rows, row{
			name: fmt.Sprintf("push to %s idle watchers, last one", number(n)), unit: millis, goal: goals[i], op: "change",
		})
	}
	sessions := []int{o.scaled(1000)}
	if o.big {
		sessions = append(sessions, 10_000)
	}
	if o.sessions > 0 {
		sessions = []int{o.sessions}
	}
	idle := workload{name: "idle-memory", run: func(t *turn) error { return t.runIdleMemory(sessions) }}
	for _, n := range sessions {
		idle.rows = append(idle.rows, row{
			name: fmt.Sprintf("memory of each of %s idle sessions", number(n)), unit: "KB", goal: 591.0 / 24, op: "session",
		})
	}
	return []workload{push, idle}
}

func pushWatchers(o *options) []int { return []int{1, max(o.scaled(100), 10), o.scaled(1000)} }

func mixedWorkload(o *options) workload {
	conns := 200
	if o.quick {
		conns = 20
	}
	at := fmt.Sprintf("mixed, %d connections: ", conns)
	return workload{
		name: "mixed",
		rows: []row{
			{name: at + "rate", unit: perSecond, higher: true, goal: 2.5, cpuGoal: 2.5, op: "command"},
			{name: at + "p50", unit: millis},
			{name: at + "p99", unit: millis, goal: 4},
		},
		data: mixedMailboxes(),
		run:  func(t *turn) error { return t.runMixed(conns, o.scaled(40_000)) },
	}
}

// number writes n with a comma between thousands.
func number(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", number(n/1000), n%1000)
}

// significant writes a figure with three digits that count.
func significant(x float64) string {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return "–"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(x))))
	if digits <= 0 {
		return number(int(math.Round(x)))
	}
	return fmt.Sprintf("%.*f", digits, x)
}
