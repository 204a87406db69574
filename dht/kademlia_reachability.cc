// SPDX-License-Identifier: Apache-2.0
// Whether strangers reach us: dial-backs that we ask for, that we pass on, and that we make.
#include <utility>

#include "dht/diversity.h"
#include "dht/kademlia.h"
#include "dht/tunnel_endpoint.h"
#include "proto/endpoint.h"

namespace shoal::dht {
namespace {

constexpr std::size_t kHelpersLookedAt = 16;  // of which most are of a network not asked yet

}  // namespace

bool Kademlia::is_client() const {
  return config_.client_mode || tunnelled_ ||
         (told_unreachable_ && (!reachability_ || table_.small())) ||
         (reachability_ && reachability_->state() == Reachability::State::kUnreachable);
}

// `fits`: somebody at another public address, whom others are told about.
template <typename Fits>
std::optional<Contact> Kademlia::random_helper(Fits&& fits) {
  for (const RoutingTable::Entry* entry :
       table_.closest(Key{random_.bytes<32>()}, kHelpersLookedAt, RoutingTable::Which::kTellable)) {
    const Contact& contact = entry->contact;
    if (entry->verified && !is_exempt(contact.endpoint) && fits(contact)) return contact;
  }
  return std::nullopt;
}

void Kademlia::check_reachability(TimePoint now) {
  if (!reachability_) return;
  if (table_.small()) {  // everybody knows everybody, and keeps the ways open
    reachability_->not_needed(now);
  } else {
    reachability_->handle_timeout(now);
    while (reachability_->wants_more()) {
      const auto helper = random_helper(
          [&](const Contact& contact) { return reachability_->may_help(contact.endpoint); });
      if (!helper) break;
      const std::uint64_t token = reachability_->asked(helper->endpoint, random_, now);
      wire::DhtMessage message;
      message.mutable_dial_back()->set_token(token);
      if (!request(*helper, std::move(message), {Purpose::Kind::kDialBack, token}, 0, now))
        reachability_->answered(token, false, now);
    }
  }
  notice_reachability(now);
}

void Kademlia::notice_reachability(TimePoint now) {
  if (std::exchange(was_client_, is_client()) == is_client() || is_client()) return;
  introduce_again(now);  // everybody forgot us meanwhile
}

void Kademlia::tell_reachable(std::optional<bool> reachable, TimePoint now) {
  told_unreachable_ = reachable == false;
  notice_reachability(now);
}

std::vector<Contact> Kademlia::verified_contacts(std::size_t most) const {
  std::vector<Contact> result;
  table_.for_each([&](const RoutingTable::Entry& entry) {
    if (entry.verified && result.size() < most) result.push_back(entry.contact);
  });
  return result;
}

void Kademlia::introduce_again(TimePoint now) {
  introduce_anew_ = true;
  refresh_self_ = true;
  next_refresh_ = now;
}

bool Kademlia::answer_dial_back(const Sessions::Delivery& asked, const wire::DhtMessage& message,
                                TimePoint now) {
  const Contact& asker = asked.from;  // at a proven address: the dial goes nowhere else
  const bool willing = message.dial_back().token() != 0 && !is_exempt(asker.endpoint) &&
                       !is_tunnel(asker.endpoint) &&
                       helping_.size() < config_.reachability.max_helping &&
                       dial_help_.take(asker.endpoint, now);
  const auto third = !willing ? std::nullopt : random_helper([&](const Contact& contact) {
    return contact.peer != asker.peer && contact.endpoint.is_v4() == asker.endpoint.is_v4() &&
           wide_network(contact.endpoint) != wide_network(asker.endpoint);
  });
  if (!third) return false;
  wire::DhtMessage dial;
  dial.mutable_dial()->set_public_key(asker.key.to_bytes());
  dial.mutable_dial()->set_address(proto::encode_endpoint(asker.endpoint));
  dial.mutable_dial()->set_token(message.dial_back().token());
  const std::uint64_t id = next_operation_++;
  if (!request(*third, std::move(dial), {Purpose::Kind::kDial, id}, 0, now)) return false;
  helping_[id] = {asked, message.request_id()};
  return true;
}

void Kademlia::on_dialed(std::uint64_t id, bool accepted, TimePoint now) {
  const auto helping = helping_.extract(id);
  if (helping.empty()) return;
  wire::DhtMessage reply;
  reply.set_request_id(helping.mapped().request_id);
  reply.mutable_dialed_back()->set_accepted(accepted);
  respond(helping.mapped().asked, reply, now);
}

bool Kademlia::answer_dial(const Contact& from, const wire::Dial& dial, TimePoint now) {
  const auto key = identity::PublicKey::from_bytes(dial.public_key());
  const auto endpoint = proto::decode_endpoint(dial.address());
  if (!key || !endpoint || dial.token() == 0) return false;
  const Contact target{identity::peer_id_of(*key), *endpoint, *key};
  // One datagram, no longer than the request for it, and only where strangers may send at all.
  if (is_exempt(*endpoint) || target.peer == self_.peer_id() || target.peer == from.peer ||
      sessions_.has_session(target) || !dial_help_.take(from.endpoint, now)) {
    return false;
  }
  wire::DhtMessage ping;
  ping.mutable_ping()->set_token(dial.token());
  if (!request(target, std::move(ping), {Purpose::Kind::kDialPing}, 0, now)) return false;
  ++dials_;
  return true;
}

}  // namespace shoal::dht
