// SPDX-License-Identifier: Apache-2.0
// Every bound of the wire in one place, each with its reason. docs/protocol.md explains what
// happens beyond each.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal::proto {

// Peers of another major version are refused with a clear reason; minor versions interoperate.
inline constexpr std::uint32_t kProtocolMajor = 2;
inline constexpr std::uint32_t kProtocolMinor = 2;

// Since this minor version hops pass on what a step asks of the last one (docs/protocol.md,
// "Ends").
inline constexpr std::uint32_t kMinorOfEnds = 2;

// One gRPC message: a 1 MiB chunk of activations, a whole vocabulary of slack, and never an
// allocation that hurts.
inline constexpr std::size_t kMaxMessageBytes = 4u << 20;
// A prefill travels in chunks of at most this much activation data, so that all hops work at the
// same time.
inline constexpr std::size_t kMaxChunkBytes = 1u << 20;
// Rows of one step: at hidden 256 in f32 a 1 MiB chunk has 1024 rows.
inline constexpr std::uint32_t kMaxRowsPerStep = 1024;
// Widest activation row: 65,536 values, 4x the widest model we know of (Llama-405B has 16,384).
inline constexpr std::uint32_t kMaxHidden = 65'536;
// gRPC metadata: we send none; 8 KiB is gRPC's own habit.
inline constexpr std::size_t kMaxMetadataBytes = 8u << 10;
// Sessions of one peer on one node: enough for a gateway, too few to starve the others.
inline constexpr std::uint32_t kMaxSessionsPerPeer = 64;
// Sessions on one node, all peers together.
inline constexpr std::uint32_t kMaxSessions = 1024;
// Streams of one connection: a hop pushes one per session to its neighbour, whosever session it is.
// The node counts streams per peer besides and refuses with a reason.
inline constexpr std::uint32_t kMaxStreamsPerConnection = kMaxSessions + 256;
// Steps of one session waiting in a hop: a pipelined prefill needs a few; the rest is a queue in
// the wrong place.
inline constexpr std::uint32_t kMaxStepsInFlight = 64;
// Bytes that wait to be sent, of all sessions of a node: answers that clients do not read, steps
// that next hops do not take. Two dozen streams over slow links at once; what is beyond belongs to
// peers that do not read, and the largest such stream is ended.
inline constexpr std::size_t kMaxOutboxBytes = 32u << 20;
// The same of all sessions of one client ...
inline constexpr std::size_t kMaxOutboxBytesPerPeer = 24u << 20;
// ... and of one stream: the steps that a client keeps under way through eight hops.
inline constexpr std::size_t kMaxOutboxBytesPerStream = 18u << 20;
// Nothing of what a stream has to send was taken for so long: 1 MiB at 0.6 Mbit/s.
inline constexpr std::uint32_t kStuckWriteMs = 15'000;
// What may come in on one stream before we read it. A message that is being read may be larger: its
// size is granted besides. 20 Mbit/s over 100 ms.
inline constexpr std::size_t kStreamWindowBytes = 256u << 10;
// A batch of prefill takes about so long at most: others' tokens wait for it.
inline constexpr std::uint32_t kPrefillMs = 50;
// Activations that wait for the device, decoded, of all sessions of a node; half of it of one peer.
// 20 chunks: more is a queue of seconds, in the wrong place; a stream is not read while it is full.
inline constexpr std::size_t kMaxInboxBytes = 20u << 20;
// A model's manifest (docs/protocol.md): 300,000 tensors; the largest models have 140,000.
inline constexpr std::size_t kMaxManifestBytes = 64u << 20;
// It travels in pieces of at most this, each within so long, all of it within that: 1 Mbit/s.
inline constexpr std::size_t kManifestChunkBytes = 1u << 20;
inline constexpr std::uint32_t kManifestChunkTimeoutMs = 10'000;
inline constexpr std::uint32_t kManifestTimeoutMs = 600'000;
// Pieces that a node is sending at a time, in all and to one peer: what is not read waits in
// memory.
inline constexpr std::uint32_t kMaxManifestCalls = 16;
inline constexpr std::uint32_t kMaxManifestCallsPerPeer = 2;
// The small files of a model that clients need (docs/protocol.md, "Companions"), each as large as
// our own loaders take it: the largest tokenizers have 35 MB, real chat templates 20 KiB.
inline constexpr std::uint64_t kMaxTokenizerBytes = 256u << 20;
inline constexpr std::uint64_t kMaxChatTemplateBytes = 4u << 20;
inline constexpr std::uint64_t kMaxGenerationConfigBytes = 4u << 20;
inline constexpr std::uint64_t kMaxCompanionBytes = 16u << 20;  // of any other
// Of all of them together, which a node holds in memory: one tokenizer at its largest, the rest.
inline constexpr std::uint64_t kMaxCompanionsBytes = 288u << 20;
// Eight names, 64 chat templates, and room for names to come.
inline constexpr std::size_t kMaxCompanionFiles = 96;
// They travel in pieces as the manifest does, and as many of them are being sent at a time.
inline constexpr std::size_t kCompanionPieceBytes = kManifestChunkBytes;
inline constexpr std::uint32_t kCompanionPieceTimeoutMs = kManifestChunkTimeoutMs;
inline constexpr std::uint32_t kMaxCompanionCalls = 16;
inline constexpr std::uint32_t kMaxCompanionCallsPerPeer = 2;
// A session without any frame for this long is closed and its KV pages freed.
inline constexpr std::uint32_t kSessionIdleTimeoutMs = 30'000;
// Clients send a heartbeat this often: two lost ones are noticed long before the session is idle.
inline constexpr std::uint32_t kHeartbeatIntervalMs = 2'000;
// Tokens of one hash of a prefix: a page of KV, in which nodes keep it.
inline constexpr std::uint32_t kPrefixPagePositions = 32;
// Hashes of one Open or Keep: 131,072 positions, the longest context of today's models, in 64 KiB.
inline constexpr std::size_t kMaxPrefixPages = 4096;
// Of each row that a last hop scores, so many of the largest logits: more than any filter of
// sampling leaves of a text that is worth reading, and 8 KiB a token.
inline constexpr std::uint32_t kMaxTopLogits = 1024;
// Token ids of one step whose logits are wanted besides: a target for each row of the largest step,
// or four times the biases that OpenAI's API allows for one row, and room.
inline constexpr std::size_t kMaxAlsoIds = 4096;
// Logits of one result, those of all its rows: 1 MiB with their ids, as a chunk of activations.
inline constexpr std::size_t kMaxScores = 128u << 10;
// Names that people choose (public name, model name).
inline constexpr std::size_t kMaxNameBytes = 64;
// Human-readable reason inside a failure frame.
inline constexpr std::size_t kMaxReasonBytes = 512;
// Opening a connection: TCP, TLS and the first answer.
inline constexpr std::uint32_t kConnectTimeoutMs = 5'000;
// A hop finds its next hop in the DHT and dials it. A peer that it never reached before must have
// proven its identity after so long; every failure up to then is told at this moment and in the
// same words, so that nobody can use a node to find out what listens in its network. A look-up
// takes 1 s at worst, a handshake over a satellite 2 s.
inline constexpr std::uint32_t kNextHopAnswerMs = 4'000;
// Addresses that a record announced are taken for true so long, a third of what a record lives ...
inline constexpr std::uint32_t kNextHopCacheMs = 60'000;
// ... and are read anew, while sessions go on with what is known, after so long.
inline constexpr std::uint32_t kNextHopRefreshMs = 10'000;
// After a failed attempt the next one waits 100 ms, then 1.6 times longer each, up to a second: a
// node that restarts is found again at once, and a dead one costs little.
inline constexpr std::uint32_t kReconnectMinMs = 100;
inline constexpr std::uint32_t kReconnectMaxMs = 1'000;
// Addresses of one peer that are tried for one connection: more than a record names; the least
// likely are left out.
inline constexpr std::size_t kMaxDialledAddresses = 8;
// The next address is tried when the one before has not answered for so long (RFC 8305 recommends
// 250 ms; most peers are nearer).
inline constexpr std::uint32_t kDialStaggerMs = 200;
// Dial-backs that a peer, an address (IPv6: /64) and everybody together ask of us: at most two
// families, each with and without a router's mapping, when a node starts, and again every ten
// minutes; a household has some nodes; and what we do for others stays a handful of packets a
// second.
inline constexpr double kDialBacksPerPeerBurst = 8;
inline constexpr double kDialBacksPerPeerPerSecond = 1.0 / 60;
inline constexpr double kDialBacksPerAddressBurst = 32;
inline constexpr double kDialBacksPerAddressPerSecond = 0.2;
inline constexpr double kDialBacksBurst = 128;
inline constexpr double kDialBacksPerSecond = 8;
inline constexpr std::uint32_t kMaxDialBacks = 32;  // under way: a socket or two each
// What a dial-back waits for: a lost SYN is repeated after a second.
inline constexpr std::uint32_t kDialBackTimeoutMs = 1'500;
// Whoever asks waits for dial-backs so long, and once one has answered so long for the others.
inline constexpr std::uint32_t kDialBackAnswerMs = 4'000;
inline constexpr std::uint32_t kDialBackOthersMs = 2'200;
// Helpers that are asked at once: three of five decide.
inline constexpr std::size_t kDialBackHelpers = 5;
// HTTP/2 pings on connections with calls: the second line behind heartbeats, for machines that
// vanish without a word.
inline constexpr std::uint32_t kKeepaliveTimeMs = 10'000;
inline constexpr std::uint32_t kKeepaliveTimeoutMs = 5'000;
// A peer that pings more often than this is disconnected.
inline constexpr std::uint32_t kMinPingIntervalMs = 5'000;
// A connection without calls is closed by the server after this, by the client after half of it.
inline constexpr std::uint32_t kMaxConnectionIdleMs = 300'000;
// Connections that one process keeps to others: a route has tens of hops at most.
inline constexpr std::size_t kMaxChannels = 256;
// The front: what one connection may ask before it is hung up on. gRPC sends no frame of these
// kinds but for a reason: measured over 64 busy sessions it stays below a fifth of each.
// Who gets that far: connections in all, of one address (or IPv6 /64) and of one peer, who needs
// one or two; handshakes under way, a few milliseconds each.
inline constexpr std::uint32_t kMaxConnections = 1'024;
inline constexpr std::uint32_t kMaxConnectionsPerAddress = 192;
inline constexpr std::uint32_t kMaxConnectionsPerPeer = 16;
inline constexpr std::uint32_t kMaxHandshakes = 128;
inline constexpr std::uint32_t kMaxHandshakesPerAddress = 64;
// New connections of one address: a class room that starts at once, and no flood. A handshake costs
// a millisecond.
inline constexpr double kArrivalsBurst = 192;
inline constexpr double kArrivalsPerSecond = 16;
// Those of them that never become a peer of ours, or that gRPC ends for what they sent. Beyond, the
// address is banned.
inline constexpr double kFailuresBurst = 32;
inline constexpr double kFailuresPerSecond = 1;
// Whoever is hung up on stays out so long.
inline constexpr std::uint32_t kBanMs = 60'000;
// A peer that behaved at an address is let in there so long, whatever its neighbours do; unless so
// many different ones of them do it.
inline constexpr std::uint32_t kStandingMs = 600'000;
inline constexpr std::size_t kMaxBadNeighbours = 3;
inline constexpr std::size_t kMaxGoodPerAddress = 64;
// Addresses and peers that the front remembers, each: about 300 bytes per entry.
inline constexpr std::size_t kMaxRemembered = 8'192;
// HTTP/2's smallest bound of a frame, until our gRPC has allowed more.
inline constexpr std::uint32_t kMinMaxFrameBytes = 16'384;
// A header block as it travels: ours have 300 bytes; up to here gRPC refuses the call by
// kMaxMetadataBytes, at times with the connection. gRPC sends it in pieces of a frame.
inline constexpr std::uint32_t kMaxHeaderBlockBytes = 4 * kMaxMetadataBytes;
inline constexpr std::uint32_t kMaxContinuations = 8;
// Bytes of header blocks beyond this much each: at once, and per second. A block of many empty
// headers costs gRPC ten times its size.
inline constexpr std::uint32_t kUsualHeaderBlockBytes = 512;
inline constexpr double kHeaderBytesBurst = 128 << 10;
inline constexpr double kHeaderBytesPerSecond = 16 << 10;
// Streams opened: beyond, they wait. A call costs a node 0.1 ms. When a neighbour dies, all that
// may be open at once are opened again elsewhere, by peers that are known there as a rule.
inline constexpr double kStreamsBurst = kMaxStreamsPerConnection;
inline constexpr double kStreamsPerSecond = 400;
inline constexpr double kNewcomerStreamsBurst = 128;
inline constexpr double kNewcomerStreamsPerSecond = 100;
// Whoever opens too many for so long without a pause means harm.
inline constexpr std::uint32_t kSlowedTimeoutMs = 10'000;
// Streams reset before their first message came, by the peer or by what it made us do.
inline constexpr double kResetsBurst = 128;
inline constexpr double kResetsPerSecond = 10;
// Every call of ours begins with a message, in the same packet as a rule.
inline constexpr std::uint32_t kMaxSilentStreams = 256;
inline constexpr std::uint32_t kSilentStreamTimeoutMs = 10'000;
// SETTINGS and PING, each: gRPC measures the bandwidth with at most ten a second.
inline constexpr double kControlFramesBurst = 100;
inline constexpr double kControlFramesPerSecond = 20;
// PRIORITY, empty and unknown frames, each: gRPC sends none.
inline constexpr double kUselessFramesBurst = 100;
inline constexpr double kUselessFramesPerSecond = 1;
// WINDOW_UPDATE: one for each so many bytes of data the other way, and this. A window opened byte
// by byte earns nothing.
inline constexpr double kWindowUpdatesBurst = 2'000;
inline constexpr double kWindowUpdatesPerSecond = 200;
inline constexpr double kDataBytesPerWindowUpdate = 1'024;
// gRPC opens both windows again for each message that is read. The smallest that are frequent,
// acknowledgements, have more bytes than this; data drawn byte by byte has fewer.
inline constexpr double kWindowUpdatesPerDataFrame = 2;
inline constexpr std::uint32_t kMessageFrameBytes = 16;
// Frames smaller than this that do not end a message: gRPC sends one when a window is used up. Each
// costs 32 bytes of memory until the message is complete.
inline constexpr std::uint32_t kCrumbBytes = 1'024;
inline constexpr double kCrumbsBurst = 8'192;
inline constexpr double kCrumbsPerSecond = 200;
inline constexpr double kDataBytesPerCrumb = 2'048;
// A message that was begun, and of which nothing came for so long.
inline constexpr std::uint32_t kHalfMessageTimeoutMs = 15'000;
// Over all connections of a node: messages begun and not finished, and streams without a message.
// Beyond, whoever has more than its share is hung up on.
inline constexpr std::uint64_t kMaxHalfMessageBytes = 40u << 20;
inline constexpr std::uint64_t kMaxSilentStreamsInAll = 1'024;
// TLS records without content: bytes at once and per second, beside twice the content.
inline constexpr double kWrappingBytesBurst = 256 << 10;
inline constexpr double kWrappingBytesPerSecond = 64 << 10;
// A change of keys is 27 bytes of them, and costs as much time as so many.
inline constexpr std::uint32_t kKeyUpdateBytes = 4'096;
// A peer that takes nothing of what waits for it.
inline constexpr std::uint32_t kNeverReadsTimeoutMs = 30'000;

// Relays (docs/protocol-relay.md). A message: the longest has 40 bytes; a later version may say
// more.
inline constexpr std::size_t kMaxTunnelMessageBytes = 512;
// It comes right after TLS.
inline constexpr std::uint32_t kTunnelMessageTimeoutMs = 5'000;
// A node parks so many connections at each of so many relays: as many callers may come at once, and
// one relay may fail.
inline constexpr std::uint32_t kParkedPerRelay = 4;
inline constexpr std::uint32_t kRelaysOfNode = 2;
// Of one peer at one relay: those, and as many that the relay has not yet noticed to be gone.
inline constexpr std::uint32_t kMaxParkedPerPeer = 2 * kParkedPerRelay;
// A descriptor each, of the 1,024 that a process has at least.
inline constexpr std::uint32_t kMaxParked = 256;
// Two descriptors and 64 KiB each, in all; of one caller, who has one for each node of a route; and
// of one node, where clients and other nodes come.
inline constexpr std::uint32_t kMaxTunnels = 192;
inline constexpr std::uint32_t kMaxTunnelsPerCaller = 24;
inline constexpr std::uint32_t kMaxTunnelsPerTarget = 64;
// Calls of one peer: a client that looks at all nodes, and does so again.
inline constexpr double kTunnelCallsBurst = 48;
inline constexpr double kTunnelCallsPerSecond = 4;
// A call waits so long for a peer that parked not longer ago than that: it parks again as soon as a
// call took its last connection, or its relay's link was lost.
inline constexpr std::uint32_t kTunnelWaitMs = 3'000;
inline constexpr std::uint32_t kTunnelWaitAfterMs = 10'000;
inline constexpr std::uint32_t kMaxWaitingCalls = 64;
inline constexpr std::uint32_t kMaxWaitingCallsPerPeer = 8;  // of a caller; for a target
// What a relay carries by default, all tunnels together: twice a home's usual uplink, of which TCP
// leaves others their share.
inline constexpr std::uint32_t kRelayMbit = 200;
inline constexpr std::uint32_t kMaxRelayMbit = 100'000;
// And of one peer, as caller and as node: a 30 GB model's worth of activations at once; then as
// much as 80 streams of decode at 30 tokens a second have, of hidden 4096 in fp16.
inline constexpr double kRelayBytesBurst = 4e9;
inline constexpr double kRelayBytesPerSecond = 20e6;
// A tunnel in which nothing moves: longer than gRPC keeps a connection without calls.
inline constexpr std::uint32_t kTunnelIdleMs = kMaxConnectionIdleMs + 30'000;
// At most, whatever a relay says.
inline constexpr std::uint32_t kMaxTunnelRetryMs = 600'000;

// Memory that gRPC may use for all connections of a server: 256 messages of full size at once.
inline constexpr std::size_t kServerMemoryBytes = 1u << 30;

// DHT: a datagram that crosses any Internet path unfragmented.
inline constexpr std::size_t kMaxDatagramBytes = 1200;
// Datagrams through connections, where UDP does not pass: of one connection, as the directory's own
// limit for one peer; a lookup asks 96 peers at most, and most of them more than once.
inline constexpr double kTunnelledDatagramsBurst = 400;
inline constexpr double kTunnelledDatagramsPerSecond = 200;
// What waits in one for the network, or for the handshake: 54 datagrams.
inline constexpr std::size_t kMaxTunnelQueueBytes = 64u << 10;
// Connections that one process makes to contacts, and lets come: a quarter of kMaxConnections.
inline constexpr std::size_t kMaxDialledTunnels = 64;
inline constexpr std::size_t kMaxAcceptedTunnels = 256;
// One is enough; the second is there while the first has not been noticed to be gone.
inline constexpr std::size_t kMaxTunnelsPerPeer = 2;
// Whoever made it closes it first. Others publish every minute, and ask more often.
inline constexpr std::uint32_t kDialledTunnelIdleMs = 120'000;
inline constexpr std::uint32_t kAcceptedTunnelIdleMs = 240'000;
// Addresses that the ends of a relayed connection tell each other to meet at: where the relay sees
// them, and those of a machine with several networks.
inline constexpr std::size_t kMaxPunchCandidates = 6;
// A signed record, so that at least three fit into one datagram.
inline constexpr std::size_t kMaxRecordBytes = 360;
// Addresses of one record: IPv4 and IPv6, each public and on the local network. Two of them, each
// through a relay over IPv6, fit beside the rest at its largest.
inline constexpr std::size_t kMaxRecordAddresses = 4;
// One of them: the longest that this version knows has 51 bytes, a later one may need a few more.
inline constexpr std::size_t kMaxAddressBytes = 64;
// Blocks of one model: four times the deepest we know of (Llama 3.1 405B has 126), and it bounds
// the keys of a record.
inline constexpr std::uint32_t kMaxModelBlocks = 512;
// Records live at most this long without refresh; nodes refresh every minute.
inline constexpr std::uint32_t kMaxRecordTtlMs = 180'000;
inline constexpr std::uint32_t kRecordRefreshMs = 60'000;

}  // namespace shoal::proto
