// SPDX-License-Identifier: Apache-2.0
#include "dht/questions.h"

#include <sodium/utils.h>

#include <algorithm>

namespace shoal::dht {
namespace {

constexpr std::size_t kLengthBytes = 2;  // before the message: padding may follow it
// What an empty, unpadded question weighs on the wire.
constexpr std::size_t kEmptyQuestionBytes =
    kSealBytes + kQuestionHeaderBytes + kLengthBytes + kTagBytes;

std::uint64_t id_of(const Echo& echo) {
  std::uint64_t id = 0;
  for (std::size_t i = 0; i < 8; ++i) id = id << 8 | echo[i];
  return id;
}

// How long an unproven question must be so that the answer is at most three times as long.
std::size_t padded_size(std::size_t message_bytes, std::size_t answer_bytes) {
  const std::size_t answer = kEmptyReplyBytes + std::min(answer_bytes, kMaxReplyBytes);
  return std::max(kEmptyQuestionBytes + message_bytes, (answer + 2) / 3);
}

}  // namespace

Asker::Asker(const SessionConfig& config, const identity::Bytes32& swarm_secret,
             identity::Random& random)
    : config_(config),
      swarm_secret_(swarm_secret),
      random_(random.bytes<32>()),
      keys_(config.max_asker_keys, config.ephemeral_ttl) {}

Asker::~Asker() { sodium_memzero(secret_.data(), secret_.size()); }

void Asker::renew(TimePoint now) {
  if (renewed_ && now - *renewed_ < config_.ephemeral_ttl) return;
  renewed_ = now;
  random_.fill(secret_);
  identity::primitives().exchange_pair(secret_, ephemeral_);
  keys_.clear();
}

void Asker::expire(TimePoint now) {
  for (; !order_.empty(); order_.pop_front()) {
    const auto it = open_.find(order_.front());
    if (it == open_.end()) continue;  // answered
    if (now - it->second.asked <= config_.question_ttl) return;
    open_.erase(it);
  }
}

std::optional<std::string> Asker::ask(const Contact& to, std::string_view message,
                                      const std::optional<Cookie>& proof, std::size_t answer_bytes,
                                      bool repeated, TimePoint now) {
  expire(now);
  // The order also holds some that were answered.
  if (open_.size() >= config_.max_questions || order_.size() >= 4 * config_.max_questions)
    return std::nullopt;
  renew(now);
  const QuestionKeys* keys = keys_.find(to.key, now);
  if (keys == nullptr) {
    const auto made = asker_keys(swarm_secret_, secret_, ephemeral_, to.key);
    if (!made) return std::nullopt;
    keys = keys_.put(to.key, *made, now);
  }
  QuestionPacket packet{};
  random_.fill(packet.echo);
  packet.destination = mark_of(to.peer);
  packet.ephemeral = ephemeral_;
  if (proof) packet.cookie = *proof;
  const std::size_t size =
      proof ? kEmptyQuestionBytes + message.size() : padded_size(message.size(), answer_bytes);
  std::string out = begin_datagram(size - kSealBytes);
  append(out, packet);
  const std::size_t plain_at = out.size();
  out += static_cast<char>(message.size() >> 8);
  out += static_cast<char>(message.size() & 0xff);
  out += message;
  out.resize(size - kTagBytes - kTagBytes);  // zeros; the two tags are still to come
  encrypt_tail(out, plain_at, keys->to_answerer, question_nonce(packet.echo));

  const std::uint64_t id = id_of(packet.echo);
  open_.insert_or_assign(
      id, Open{to, std::string(message), keys->to_asker, packet.echo, now, repeated});
  order_.push_back(id);
  return out;
}

const Asker::Open* Asker::find(const Echo& echo, const proto::Endpoint& from, TimePoint now) const {
  const auto it = open_.find(id_of(echo));
  if (it == open_.end()) return nullptr;
  const Open& open = it->second;
  const bool fits =
      open.echo == echo && open.to.endpoint == from && now - open.asked <= config_.question_ttl;
  return fits ? &open : nullptr;
}

Asker::Open Asker::take(const Open& open) {
  const auto it = open_.find(id_of(open.echo));
  Open taken = std::move(it->second);
  open_.erase(it);
  return taken;
}

Answerer::Answerer(const SessionConfig& config, const identity::Bytes32& swarm_secret,
                   const identity::Identity& self)
    : swarm_secret_(swarm_secret),
      self_(self.public_key()),
      exchange_secret_(self.exchange_secret()),
      keys_(config.max_answerer_keys, config.answerer_keys_ttl) {}

Answerer::~Answerer() { sodium_memzero(exchange_secret_.data(), exchange_secret_.size()); }

std::optional<Answerer::Question> Answerer::open(const QuestionPacket& packet, TimePoint now) {
  const QuestionKeys* keys = keys_.find(packet.ephemeral, now);
  std::optional<QuestionKeys> made;
  if (keys == nullptr) {
    made = answerer_keys(swarm_secret_, exchange_secret_, packet.ephemeral, self_);
    if (!made) return std::nullopt;
  }
  const QuestionKeys use = keys != nullptr ? *keys : *made;
  std::optional<std::string> plain =
      decrypt(use.to_answerer, question_nonce(packet.echo), packet.header, packet.ciphertext);
  if (!plain || plain->size() < kLengthBytes) return std::nullopt;
  // Only now: what does not open takes no room.
  if (made) keys_.put(packet.ephemeral, *made, now);
  const std::size_t length = static_cast<std::size_t>(static_cast<std::uint8_t>((*plain)[0])) << 8 |
                             static_cast<std::uint8_t>((*plain)[1]);
  if (length > plain->size() - kLengthBytes) return std::nullopt;
  plain->resize(kLengthBytes + length);
  plain->erase(0, kLengthBytes);
  return Question{*std::move(plain), use.to_asker};
}

}  // namespace shoal::dht
