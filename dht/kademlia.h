// SPDX-License-Identifier: Apache-2.0
// The DHT protocol of one participant. No sockets, no clock, no threads, no global randomness:
// datagrams and time come in; datagrams and events come out. After any call, drain poll_transmit()
// and poll_event(), and set a timer to next_timeout(). One thread at a time. Implements
// docs/protocol-dht.md; every table is bounded by KademliaConfig.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "dht/bans.h"
#include "dht/config.h"
#include "dht/contact.h"
#include "dht/find_results.h"
#include "dht/lookup.h"
#include "dht/observed_addresses.h"
#include "dht/reachability.h"
#include "dht/recent.h"
#include "dht/record_store.h"
#include "dht/requests.h"
#include "dht/routing_table.h"
#include "dht/session.h"
#include "dht/size_estimate.h"
#include "dht/stats.h"
#include "proto/dht.pb.h"

namespace shoal::dht {

using OperationId = std::uint64_t;

// The end of an operation.
struct Event {
  enum class Kind { kBootstrapDone, kFindDone, kPublishDone };
  Kind kind = Kind::kFindDone;
  OperationId id = 0;
  bool ok = false;              // bootstrap: somebody answered, and the own neighbourhood is known
  std::vector<Record> records;  // find: live ones, one per subject
  std::size_t answered = 0;     // find: peers whose answer is in it
  int replicas = 0;             // publish: of the least-replicated key, not counting ourselves
  // What it cost. find: until the first record and until three replicas had answered with one, or
  // nullopt; hops of the path to the first record. publish: of all its lookups and stores.
  Duration took{};
  std::optional<Duration> first_record, three_replicas;
  std::size_t requests = 0;  // datagrams that carried a request of this operation, repeats included
  int hops = 0;
};

class Kademlia {
 public:
  Kademlia(KademliaConfig config, const identity::Identity& self,
           const identity::Random::Seed& seed, TimePoint now);
  Kademlia(const Kademlia&) = delete;
  Kademlia& operator=(const Kademlia&) = delete;

  // What a datagram has shown of its sender.
  enum class Sender : std::uint8_t {
    kUnknown,  // nothing
    kAsker,    // a member of the swarm, who may or may not be where he says
    kPeer,     // a peer that is there
  };
  Sender handle_datagram(std::string_view bytes, const proto::Endpoint& from, TimePoint now);
  void handle_timeout(TimePoint now);
  std::optional<TimePoint> next_timeout() const;  // when handle_timeout() is due
  std::optional<Datagram> poll_transmit();
  std::optional<Event> poll_event();

  // Each ends in one event with the returned id.
  OperationId bootstrap(std::vector<proto::Endpoint> peers, Duration timeout, TimePoint now);
  // `secure`: over disjoint paths from the start, as a find goes on when nothing was found.
  OperationId find(const Key& key, TimePoint now, bool secure = false);
  OperationId publish(const wire::SignedRecord& record, std::vector<Key> keys, TimePoint now);

  // Contacts known from before: of the persisted table (to be checked, and asked like bootstrap
  // addresses), or of a simulated start.
  void restore(const std::vector<Contact>& contacts, bool verified, TimePoint now);

  // Whether our datagrams go through connections: then nobody can ask us, and this is a client.
  void set_tunnelled(bool tunnelled, TimePoint now);

  // Others must learn where we are now, and may see us at other addresses than before.
  void addresses_changed(TimePoint now);
  std::vector<ObservedAddress> observed_addresses(TimePoint now) const {
    return observed_.seen(now);
  }

  ObservedPorts observed_ports(bool v4, TimePoint now) const { return observed_.ports(v4, now); }
  // Peers that answered lately, at most so many, in no order.
  std::vector<Contact> verified_contacts(std::size_t most) const;
  // What dial-backs beyond the DHT have found of our UDP port; it counts while the swarm is small,
  // where the DHT does not find out by itself. nullopt: nothing.
  void tell_reachable(std::optional<bool> reachable, TimePoint now);

  const identity::SwarmId& swarm_id() const { return swarm_; }
  const proto::PeerId& peer_id() const { return self_.peer_id(); }
  const RoutingTable& table() const { return table_; }
  const RecordStore& store() const { return store_; }
  const Bans& bans() const { return bans_; }
  // Whether this peer has its place in nobody's table: so configured, or because strangers do not
  // reach it, by UDP at all or from where they are. The latter may change at any time.
  bool is_client() const;
  KademliaStats stats() const;

 private:
  struct Publish;
  struct Find {  // what a find has beside its lookup
    Find(FindResults empty, bool secure) : results(std::move(empty)), secured(secure) {}
    FindResults results;
    std::uint64_t order = 0;  // seed of the order in which replicas show us their records
    struct Reading {          // a peer that has more than its first page
      Contact peer;
      std::uint32_t next = 0, total = 0;
      std::set<std::uint32_t> asked;  // cursors
      bool begun = false;
    };
    std::map<proto::PeerId, Reading> readings;
    std::size_t early = 0;  // of them, begun before the lookup's end
    std::size_t pages = 0, open_pages = 0;
    std::uint32_t most = 0;    // records that one peer said it has
    std::size_t replicas = 0;  // peers that answered with a record
    std::optional<Duration> first_record, three_replicas;
    int hops = 0;
    bool widened = false, secured;
  };
  struct Operation {
    enum class Kind { kJoin, kRefresh, kFind, kPublish } kind = Kind::kRefresh;
    OperationId id = 0;
    TimePoint started;
    std::optional<Lookup> lookup;
    std::size_t requests = 0, answers = 0;
    std::optional<Find> find;
    // kPublish: one lookup of the publish it belongs to
    std::shared_ptr<Publish> publish;
    std::vector<std::size_t> key_indexes;
  };
  struct Holder {
    Contact peer;
    int silent = 0;  // publishes in a row that it did not answer
  };
  struct Holders {  // who took our record when it was last published under a key, or may hold it
    std::vector<Holder> peers;
    int periods = 0;  // since the last lookup
    TimePoint at;
  };
  struct Bootstrap {
    OperationId id = 0;
    std::vector<proto::Endpoint> peers;
    TimePoint deadline, next_try;
    bool answered = false;
    std::size_t remembered_asked = 0;  // of remembered_
  };
  struct Helping {  // somebody asked us for a dial-back, and a third peer was asked to make it
    Sessions::Delivery asked;
    std::uint64_t request_id = 0;
  };
  struct HandoverJob {
    Contact to;
    proto::PeerId subject;
  };

  // kademlia.cc: traffic and time
  static std::size_t type_of(const wire::DhtMessage& message);  // as in Traffic
  // It did in a session what no honest peer does.
  void punish(const Contact& offender, TimePoint now);
  void deliver(const Sessions::Delivery& delivery, TimePoint now);
  void greet_newcomer(const Contact& contact, TimePoint now);
  void resend_lost(TimePoint now);
  void count_failure(const Requests::Request& request, TimePoint now);
  void on_due(const Requests::Due& due, TimePoint now);
  void emit(Event event);
  void settle(TimePoint now);  // to run at the end of every entry point
  // Sends it in a session if there is one, else as a question if it may be one, else it begins a
  // session. False when too many are in flight.
  bool request(const Contact& to, wire::DhtMessage message, Purpose purpose, int resends,
               TimePoint now);
  void dispatch(const Requests::Request& request, TimePoint now);
  // The peers closest to us learn us from a message in a session: who asks a question stays
  // unnamed.
  void introduce(const Lookup& lookup, TimePoint now);

  void respond(const Sessions::Delivery& asked, wire::DhtMessage& reply, TimePoint now);

  // kademlia_answers.cc: what others ask of us
  void answer(const Sessions::Delivery& asked, const wire::DhtMessage& message, TimePoint now);
  void answer_find(const Sessions::Delivery& asked, const wire::Find& find, wire::DhtMessage& reply,
                   TimePoint now);
  void answer_store(const Contact& from, const wire::Store& store, wire::DhtMessage& reply,
                    TimePoint now);

  // kademlia_operations.cc: what we ask of others
  void on_answer(const Contact& from, const wire::DhtMessage& message, TimePoint now);
  void add_contacts(const Contact& from, Operation& operation, const wire::Found& found);
  Operation& start(Operation::Kind kind, const Key& target, LookupPlan plan, TimePoint now);
  void activate(OperationId id, TimePoint now);
  void advance(OperationId id, TimePoint now);
  void finish(OperationId id, TimePoint now);
  void count_request(const Purpose& purpose);
  double swarm_size(TimePoint now) const;
  // Within which of a key its replicas are: none in a swarm where everybody holds everything.
  std::optional<Key> region(TimePoint now) const;
  std::optional<Key> region_to_read(TimePoint now) const;  // the part of it that tells enough

  // kademlia_find.cc: records
  wire::DhtMessage find_message(const Key& target, bool want_records, std::uint32_t cursor,
                                std::uint64_t order = 0) const;
  bool read_records(const Contact& from, Operation& operation, const wire::Found& found,
                    std::uint32_t cursor, TimePoint now);
  void read_all(Operation& operation, const proto::PeerId& peer, TimePoint now);
  void read_on(Operation& operation, const proto::PeerId& peer, std::uint32_t cursor,
               std::uint32_t next, TimePoint now);
  bool read_rest(Operation& operation, TimePoint now);
  bool go_on(Operation& operation, TimePoint now);
  void repair(const Operation& operation, TimePoint now);
  void finish_find(Operation& operation, TimePoint now);

  // kademlia_publish.cc: replicas of our own record
  void continue_publish(const std::shared_ptr<Publish>& publish, TimePoint now);
  void store_at(const std::shared_ptr<Publish>& publish, const Contact& peer,
                const std::vector<std::size_t>& keys, TimePoint now, int silent = 0);
  void store_at_neighbours(const std::shared_ptr<Publish>& publish, std::size_t index,
                           const Holders& holders, TimePoint now);
  void on_region_answer(const Contact& from, const Operation& operation, TimePoint now);
  void on_region_heard(const Operation& operation, TimePoint now);
  enum class StoreOutcome { kOpen, kAccepted, kRefused, kSilent };
  void on_stored(OperationId publish_id, const proto::PeerId& peer, StoreOutcome outcome,
                 TimePoint now);
  void remember_holders(const Publish& publish, TimePoint now);

  // kademlia_handover.cc: replicas that others should hold
  void queue_handovers(const Contact& to, TimePoint now);
  void pump_handovers(TimePoint now);
  void add_holder(const Key& key, const Contact& peer);
  static wire::DhtMessage store_message(const wire::SignedRecord& record, const Key& key,
                                        std::uint32_t remaining_ttl_ms);

  // kademlia_upkeep.cc
  void check_contacts(TimePoint now);
  TimePoint refresh_due() const;
  void refresh(TimePoint now);
  Key refresh_target();
  void remember_some();

  // kademlia_reachability.cc
  template <typename Fits>
  std::optional<Contact> random_helper(Fits&& fits);
  void check_reachability(TimePoint now);
  void notice_reachability(TimePoint now);
  void introduce_again(TimePoint now);
  bool answer_dial_back(const Sessions::Delivery& asked, const wire::DhtMessage& message,
                        TimePoint now);  // true: the answer follows when the third peer's came
  void on_dialed(std::uint64_t id, bool accepted, TimePoint now);
  bool answer_dial(const Contact& from, const wire::Dial& dial, TimePoint now);

  // kademlia_bootstrap.cc
  void try_bootstraps(TimePoint now);
  void on_bootstrap_answer(OperationId id, const Contact& from, const wire::Found& found,
                           TimePoint now);
  void finish_bootstrap(OperationId id, bool ok);
  TimePoint revisit_due() const;
  void revisit_bootstraps(TimePoint now);
  void ask_neighbourhood(const Contact& to, Purpose purpose, int resends, TimePoint now);

  const KademliaConfig config_;
  const identity::Identity self_;
  const identity::SwarmId swarm_;
  identity::Random random_;
  Sessions sessions_;
  RoutingTable table_;
  Requests requests_;
  RecordStore store_;
  SizeEstimate size_estimate_;
  ObservedAddresses observed_;
  Bans bans_;
  RecentMap<proto::PeerId, TimePoint, proto::FixedBytesHash> last_failures_;  // that counted
  bool told_unreachable_ = false;
  std::unique_ptr<Reachability> reachability_;  // none where it does not matter
  DialHelp dial_help_;
  std::map<std::uint64_t, Helping> helping_;
  bool was_client_ = false, introduce_anew_ = false, tunnelled_ = false;
  std::uint64_t dials_ = 0;

  OperationId next_operation_ = 1;
  std::map<OperationId, Operation> operations_;
  std::deque<OperationId> waiting_;   // of operations_, not started yet
  std::vector<OperationId> refused_;  // too many wait: they end at once
  std::size_t active_ = 0;
  std::map<OperationId, std::shared_ptr<Publish>> publishes_;
  std::map<Key, Holders> holders_;  // of our own record
  std::map<OperationId, Bootstrap> bootstraps_;
  std::map<OperationId, OperationId> joins_;  // join lookup -> bootstrap
  std::set<proto::Endpoint> bootstrap_endpoints_;
  // Some who lived, of the last run or a while ago: the way back when all contacts are lost.
  std::vector<Contact> remembered_;
  bool refresh_self_ = false;  // the next refresh is of our own neighbourhood
  std::deque<HandoverJob> handovers_;
  std::size_t handovers_in_flight_ = 0;

  TimePoint latest_{};  // the time that we were told last
  TimePoint last_refresh_, next_refresh_;
  TimePoint last_revisit_, next_revisit_;
  Measurements measurements_;
  std::deque<Event> events_;
  std::uint64_t datagrams_in_ = 0, datagrams_out_ = 0, bytes_in_ = 0, bytes_out_ = 0;
  Traffic in_, out_;
  DropCounts drops_;  // of bodies; those of packets are in sessions_
};

}  // namespace shoal::dht
