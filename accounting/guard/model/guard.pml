/*
 * The leases of a hard budget in Promela: two guards, one bank, calls with
 * bills of 1 or 2 within a bound of 2, one lost answer, one crash. "make model"
 * lets Spin visit every interleaving; it needs spin and a C compiler. The
 * worlds of exhaustive_test.go are larger in what they can do, but their steps
 * are the program's own code, and this is the protocol written down again.
 *
 * Invariants: what OpenRouter bills never passes LIMIT, and granted is always
 * settled + reserved + what is held.
 */
#define LIMIT 3
#define BOUND 2
#define CALLS 2   /* of each guard */

byte granted, settled, reserved;   /* the bank's period */
byte held[2];                      /* its leases */
byte billed;                       /* by OpenRouter */
bool lost, crashed;                /* each happens once at most */

inline grant(i, need, got) {
	atomic {
		if
		:: granted + need <= LIMIT -> got = need; granted = granted + need; held[i] = held[i] + need
		:: else -> got = 0
		fi;
		check()
	}
}

inline giveBack(i, sum) {
	atomic { held[i] = held[i] - sum; granted = granted - sum; check() }
}

/* The call's own event: what it consumed comes out of its lease. */
inline ship(i, cost, rest) {
	atomic {
		held[i] = held[i] - (cost + rest);
		settled = settled + cost;
		reserved = reserved + rest;
		check()
	}
}

inline check() {
	assert(granted <= LIMIT);
	assert(settled <= LIMIT);
	assert(billed <= LIMIT);
	assert(granted == settled + reserved + held[0] + held[1])
}

proctype guard(byte i) {
	byte free, got, bill, calls;
	do
	/* Not enough in hand: ask. The answer may be lost, and is then not ours. */
	:: calls < CALLS && free < BOUND ->
		grant(i, BOUND - free, got);
		if
		:: free = free + got
		:: atomic { !lost -> lost = true }
		fi;
		got = 0;
		if
		:: free < BOUND -> calls++   /* refused */
		:: else
		fi
	/* Return what is in hand: it is not ours from the moment of asking. */
	:: free > 0 ->
		got = free; free = 0;
		giveBack(i, got);
		got = 0
	/* A call. */
	:: calls < CALLS && free >= BOUND ->
		free = free - BOUND;
		calls++;
		if
		:: bill = 1
		:: bill = BOUND
		fi;
		atomic { billed = billed + bill; check() }
		if
		/* It ends with its cost: the rest is ours again, before it is shipped. */
		:: free = free + (BOUND - bill); ship(i, bill, 0)
		/* It ends without one, and is settled later. */
		:: ship(i, 0, BOUND);
		   atomic { settled = settled + bill; reserved = reserved - BOUND; granted = granted - (BOUND - bill); check() }
		/* The process dies: the journal is shipped, then the lease is closed. */
		:: atomic { !crashed -> crashed = true };
		   ship(i, 0, BOUND);
		   atomic { granted = granted - held[i]; held[i] = 0; check() }
		   break
		fi;
		bill = 0
	:: calls == CALLS && free == 0 -> break
	od
}

init { atomic { run guard(0); run guard(1) } }
