// SPDX-License-Identifier: Apache-2.0
// Every number of the DHT core with its reason. The defaults are what programs run; tests turn
// single ones.
#pragma once

#include <cstddef>
#include <optional>

#include "dht/time.h"
#include "identity/swarm_key.h"

namespace shoal::dht {

struct LookupConfig {
  std::size_t k = 20;  // contacts that an answer carries, and the width of a lookup; as libp2p
  // Requests in parallel that are closer than the next: with 30 % dead and hedging the first record
  // comes within 140 ms (p50; p99 310 ms) for 22 requests among 100,000 peers; 8 saves 10 ms for 10
  // more requests.
  std::size_t alpha = 5;
  std::size_t beta = 3;  // the 3 closest that live must have answered
  // A find has enough when so many of different networks showed records: whoever has four networks
  // beside a key decides nothing alone.
  std::size_t replicas = 5;
  std::size_t min_neighbours = 8;  // of a target, when its region holds fewer: a record's replicas
  // A region that holds more than twice k is crowded by somebody. Of each of the k shells that it
  // is cut into, each one expected to hold one peer, so many count: chance exceeds that in one
  // shell of 50, and ids made for the key all lie in the innermost.
  std::size_t max_in_shell = 3;
  // Whoever told of so many that do not answer, and of less than half as many that do, is believed
  // no more: where half of all are dead, one in twenty tells so by chance, and others tell better.
  std::size_t max_missed = 4;
  std::size_t paths = 4;          // disjoint, of a secure lookup: 99.9 % come home among 40 % liars
  std::size_t path_alpha = 3;     // requests in parallel on each of them
  std::size_t max_requests = 96;  // beyond that somebody leads us in circles; half of that is usual
  std::size_t max_candidates =
      256;  // far ones are dropped: an answer of 20 contacts cannot grow us without end
};

struct RateLimit {
  double per_s;
  double burst;
};

// Who does more than these is not a peer that follows the protocol; reasons in packets of ours.
struct LimiterConfig {
  // Unproven packets (hellos, first questions, messages of lost sessions) of one address (IPv6:
  // /64). One of ours sends a few at once and seldom; behind a shared address there may be many.
  RateLimit source{50, 200};
  // The same of one /24 (IPv6: /48): a provider's customers are many, an attacker's addresses too.
  RateLimit network{200, 800};
  // Questions with a proof, of one address: reading all pages of a crowded key, at a few ms each.
  RateLimit proven_source{200, 400};
  // Handshakes of one /24: 150 us of a core each; a peer makes one per session.
  RateLimit handshakes{10, 40};
  // Messages of one peer in its session: a hand-over keeps 32 in flight, at 80 ms 400 per second.
  RateLimit peer{500, 1000};
  // Bytes to unproven addresses, all together: what a forger of sources could have us send to his
  // victim. 2 Mbit/s is no weapon, and is 200 whole replies per second. While less than half of the
  // burst is left, unproven questions get a challenge.
  RateLimit unproven_bytes{256 << 10, 1 << 20};
  // Buckets in use at once, per kind of limit, 17 bytes each: to fill them, 200,000 packets per
  // second are needed.
  std::size_t max_sources = 4096;
};

struct SessionConfig {
  LimiterConfig limits;

  std::size_t max_sessions = 2048;    // least recently used goes first; 350 bytes each
  std::size_t max_pending = 512;      // handshakes under way; a lookup needs at most 8
  std::size_t max_queue = 8;          // messages waiting for one handshake
  Duration pending_ttl = seconds(5);  // beyond every request's hard time-out
  Duration hello_interval =
      milliseconds(100);  // a second send to a silent peer says hello again, not sooner
  // From a challenge or reply to its use: a lookup learns whom to store at, and a store after it
  // starts with the handshake. Longer would only help who takes over somebody's address.
  Duration cookie_ttl = seconds(30);
  Duration cookie_slack = seconds(5);   // a proof is not begun with when it may expire under way
  std::size_t max_used_cookies = 8192;  // one per completed handshake within cookie_ttl
  std::size_t max_proofs = 2048;        // cookies of others: all answers of 64 lookups; 130 bytes
  std::size_t max_seen_nonces = 8192;  // authentic first packets remembered against replay: 200 KiB

  // An asker's exchange key serves all its questions for so long: one curve operation per peer and
  // minute; shorter would tell less about which questions belong together, which addresses tell.
  Duration ephemeral_ttl = seconds(60);
  std::size_t max_asker_keys = 1024;        // peers asked with one exchange key; 100 bytes each
  std::size_t max_answerer_keys = 2048;     // askers whose keys are kept; 100 bytes each
  Duration answerer_keys_ttl = minutes(2);  // an exchange key's life, twice
  std::size_t max_questions = 4096;         // open ones, as RequestConfig::max_in_flight
  Duration question_ttl = seconds(5);       // beyond every request's hard time-out
};

// Limits per network (diversity.h). A /24 has one owner as a rule, and costs money by the hundred.
struct DiversityConfig {
  bool enabled = true;          // off in a keyed swarm: its members are invited
  std::size_t in_bucket = 2;    // of one /24 (IPv6 /48), as geth
  std::size_t in_table = 10;    // of one /24, as geth
  std::size_t near_narrow = 2;  // of one /24 among close candidates or replicas: 6 of 8 stay honest
  std::size_t near_wide = 3;    // of one /16 (IPv6 /32) there: a hoster's range, as go-libp2p
  std::size_t near_silent = 4;  // of one /24 that are tried there in vain: then it waits for others
};

struct RoutingConfig {
  std::size_t k = 20;
  std::size_t max_replacements = 10;  // per bucket, as geth
  int max_failures =
      3;  // in a row, the last two asked thrice: 20 % of loss evicts nobody who lives
  // A table of more contacts removes whom a check did not reach with three datagrams: at 20 % of
  // loss one living contact in twenty is lost, which a large table does not miss. In a smaller
  // swarm everybody counts.
  std::size_t dispensable_from = 80;
  // When a contact may be checked again; one is checked at a time.
  Duration check_unverified = seconds(10);  // a check is under way: beyond its hard time-out
  Duration check_failed = seconds(1);       // after a failure: the dead leave soon
  Duration check_small = seconds(15);  // a table of at most k: small swarms notice departures soon
  Duration check_verified = seconds(60);  // else: there is always one that old, so the pace rules
  // From one check to the next.
  Duration pace_small = milliseconds(100);  // a small table: newcomers are checked at once
  Duration pace = seconds(5);       // 300 contacts in 25 minutes, traffic confirms most anyway
  Duration pace_fast = seconds(2);  // while more than a quarter are not verified
  DiversityConfig diversity;
};

struct SizeEstimateConfig {
  std::size_t min_samples = 5;      // go-libp2p's; of 20 answers each: within 15 %
  std::size_t max_samples = 150;    // likewise; 16 bytes each
  Duration max_age = minutes(120);  // swarms change over hours
  std::size_t max_closest = 20;     // of one lookup: beyond k not everybody was asked
};

struct BanConfig {
  Duration first = seconds(15);     // a confused peer is back soon
  Duration longest = minutes(60);   // a hostile one costs us one offence per hour
  Duration remember = minutes(60);  // after the end: who behaves so long starts anew
  std::size_t max_entries = 4096;   // two per offender, 100 bytes each
};

struct RequestConfig {
  std::size_t max_in_flight = 4096;  // 64 operations with all their requests and stores
  // An answer is late when nine in ten would have come: then one more request is opened. Of a
  // contact that has answered before, by its own round trips.
  Duration late_unknown = milliseconds(200);  // until eight round trips are known
  Duration late_min = milliseconds(100);      // below that the asked machine may just be busy
  Duration late_max = milliseconds(500);
  Duration hard = seconds(3);          // late answers are accepted up to here
  std::size_t remembered_peers = 256;  // whose round trips are known: those asked again and again
};

struct StoreConfig {
  std::size_t max_records = 20'000;  // about 1 KiB each with all indexes: 20 MiB
  std::size_t max_per_model = 2048;  // more nodes than any reader of one index key can use
  // Of one /24 (IPv6 /48) where networks are limited: 64 nodes of one owner are plenty, and whoever
  // hands over half a crowded key is still within his share.
  bool limit_networks = true;  // off in a keyed swarm
  std::size_t max_per_network = 64;
  std::size_t max_handed_over = 1024;
  std::size_t max_index_keys =
      65'536;  // block keys of all models together: 200 models of 300 blocks
  std::size_t max_remembered = 20'000;  // subjects whose record expired here
  Duration remember = minutes(10);      // so long no replica can bring an expired sequence back
};

// Whether strangers can reach us, or only those whom we wrote to first (reachability.h).
struct ReachabilityConfig {
  bool enabled = true;      // off in a keyed swarm: its members are no strangers
  std::size_t answers = 5;  // dial-backs of one round that count ...
  std::size_t needed = 3;   // ... so many decide: two liars, or two lost datagrams, do not
  // Of one round. Many do not count: in a swarm of a hundred, three in four come from whom we wrote
  // to, in larger ones few.
  std::size_t max_asks = 24;
  Duration first = seconds(20);  // after the table grew: by then strangers have come, as a rule
  Duration again = minutes(60);  // after a round in our favour; none is needed while strangers come
  Duration again_doubtful = minutes(10);  // after one against us: somebody may open a port
  Duration promise = seconds(4);          // from a helper's yes to the dial-back: beyond a time-out
  Duration round = seconds(60);           // its longest: its asks are two seconds each
  // NATs let answers in for one to two minutes after we wrote: who comes from where we wrote to
  // since then proves nothing. Where one remembers longer it lets in all those whom we check
  // within that time, which is as good.
  Duration nat_memory = minutes(2);
  Duration fresh = minutes(10);  // strangers who came longer ago prove nothing any more
  // What we do for others. A round of theirs asks each helper once.
  RateLimit help{0.5, 20};             // dial-backs asked of us and made by us, of everybody
  RateLimit help_network{0.05, 3};     // of one /24 (IPv6: /48)
  std::size_t max_help_sources = 256;  // networks whose share is remembered
  std::size_t max_helping = 32;        // dial-backs passed on at once; each ends within 3 s
};

struct KademliaConfig {
  bool client_mode = false;
  std::optional<identity::SwarmKey> swarm_key;
  LookupConfig lookup;
  SessionConfig sessions;
  RoutingConfig routing;
  RequestConfig requests;
  StoreConfig store;
  BanConfig bans;
  ReachabilityConfig reachability;
  std::size_t replicas = 8;  // of a record when the swarm is larger than k; else every peer
  // A record goes to everybody in the region of its key that is expected to hold so many, and at
  // least to `replicas`: a few ids placed close to the key then push nobody out.
  double region = 12;
  double region_large = 20;   // where strangers meet
  double large_swarm = 2000;  // peers
  // Ids that chance puts so close to a key less often than this are somebody's who wants the key:
  // the find asks the whole region then. Of 18 tests each, one find in a hundred does it in vain.
  double crowd_chance = 0.001;
  std::size_t max_read_repairs = 2;    // of one find
  std::size_t max_known_keys = 1024;   // of our record, whose holders are remembered
  std::size_t max_known_holders = 40;  // of each
  Duration holders_ttl = minutes(5);   // beyond the ttl of a record nobody holds it
  // A holder that is silent may hold an older version, which lives for three publishes: it is told
  // of so many.
  int max_silent = 3;
  int lookup_period = 5;  // publishes from lookup to lookup while the known holders take the record
  std::size_t handover_rank =
      3;  // a newcomer is served by the 3 holders closest to it, if one fails
  std::size_t max_operations = 64;  // active at once; others wait
  std::size_t max_waiting = 4096;   // operations that wait; beyond, they end at once without peers
  std::size_t max_publish_lookups =
      8;  // of one publish at once: one key per block, hundreds in all
  SizeEstimateConfig size_estimate;
  std::size_t max_handovers = 4096;  // replicas waiting to be handed over
  std::size_t max_handovers_in_flight = 32;
  std::uint32_t min_handover_ttl_ms = 2'000;  // what has less time left is not worth a datagram
  std::size_t max_found_records = 4096;       // of one find
  std::size_t max_early_readings = 2;  // replicas of a crowded key read before the lookup's end
  std::size_t max_parallel_pages = 8;  // of one replica
  std::uint32_t page_records = 4;      // that fit beside no contacts, as a first guess
  std::size_t max_pages = 2048;        // of one find: 4096 records come in 1,000, from two replicas
  std::size_t max_bootstraps = 16;     // addresses per bootstrap call that are used
  Duration bootstrap_retry = milliseconds(400);
  Duration refresh_small = seconds(30);   // self-lookup while the table has at most k contacts
  Duration refresh_large = seconds(180);  // one bucket at a time
  Duration rebootstrap_small =
      seconds(15);  // ask absent bootstrap addresses again: they may have returned
  Duration rebootstrap_large = minutes(5);
};

}  // namespace shoal::dht
