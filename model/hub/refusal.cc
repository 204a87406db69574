// SPDX-License-Identifier: Apache-2.0
#include "model/hub/refusal.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/hub/retry.h"

namespace shoal::model::hub {
namespace {

constexpr std::size_t kMaxSaid = 200;

std::string what_of(const Asked& asked) {
  return asked.file.empty() ? asked.name.text()
                            : absl::StrCat(asked.file, " of ", asked.name.text());
}

// Why it cannot be had follows. What the hub never told us of may be a folder's path, misspelt.
std::string cannot_be_had(const Asked& asked) {
  if (!asked.file.empty() || asked.is_known) {
    return absl::StrCat(what_of(asked), ": cannot be had");
  }
  return absl::StrCat("there is no folder ", asked.name.text(),
                      " here, and as a model's name it cannot be had");
}

// What the hub says of it in words, if it does.
std::string said_by(const HttpHead& head) {
  const std::string* const message = head.find("x-error-message");
  if (message == nullptr || message->empty()) return "";
  return absl::StrCat(" (it says: ", absl::CHexEscape(message->substr(0, kMaxSaid)), ")");
}

absl::Status passing(const Asked& asked, const HttpEnd& end) {
  const std::string asks = end.retry_after_s > 0
                               ? absl::StrCat(" and asks to wait for ",
                                              static_cast<std::int64_t>(end.retry_after_s), " s")
                               : "";
  if (end.head.status == 429) {
    return absl::UnavailableError(absl::StrCat(
        cannot_be_had(asked), ": ", asked.endpoint, " has had too many requests", asks,
        ": try again later", asked.with_token ? "" : ", or set HF_TOKEN, which gets more of them"));
  }
  return absl::UnavailableError(absl::StrCat(cannot_be_had(asked), ": ", asked.endpoint,
                                             " answers HTTP ", end.head.status, asks,
                                             ": try again later", said_by(end.head)));
}

}  // namespace

absl::Status refusal(const Asked& asked, const HttpEnd& end) {
  if (absl::IsCancelled(end.status)) return end.status;
  const std::string what = what_of(asked);
  const std::string reason(end.status.message());
  if (absl::IsUnavailable(end.status)) {
    return absl::UnavailableError(absl::StrCat(
        cannot_be_had(asked), " from ", end.head.url.empty() ? asked.endpoint : end.head.url, ": ",
        reason,
        "; with HF_HUB_OFFLINE=1 only what is here is used, and HF_ENDPOINT names another "
        "hub"));
  }
  if (end.head.status < 400) {
    return absl::Status(end.status.code(),
                        absl::StrCat(cannot_be_had(asked), " from ", asked.endpoint, ": ", reason));
  }
  if (is_passing(end)) return passing(asked, end);
  const std::string* const code = end.head.find_said("x-error-code");
  const auto is = [&](const char* name) { return code != nullptr && *code == name; };
  const std::string page = absl::StrCat(asked.endpoint, "/", asked.name.repo);
  if (is("GatedRepo")) {
    return absl::PermissionDeniedError(
        asked.with_token
            ? absl::StrCat(what,
                           ": the account of HF_TOKEN has no access to this gated model: "
                           "accept its license at ",
                           page, said_by(end.head))
            : absl::StrCat(what, ": this model is gated: accept its license at ", page,
                           ", and set HF_TOKEN to a token of your account"));
  }
  if (is("RevisionNotFound")) {
    return absl::NotFoundError(absl::StrCat(asked.name.repo, " has no revision ",
                                            asked.name.revision, " at ", asked.endpoint, ": see ",
                                            page, "/tree/main"));
  }
  if (is("EntryNotFound") || (!asked.file.empty() && end.head.status == 404)) {
    return absl::NotFoundError(
        absl::StrCat(what, ": ", asked.endpoint, " lists this file and does not have it"));
  }
  if (end.head.status == 401 && asked.with_token && !is("RepoNotFound")) {
    return absl::PermissionDeniedError(absl::StrCat(
        what, ": ", asked.endpoint,
        " does not take the token of HF_TOKEN, or of its file: make a new one", said_by(end.head)));
  }
  if (is("RepoNotFound") || end.head.status == 404 || end.head.status == 401) {
    return absl::NotFoundError(
        absl::StrCat(asked.name.repo, ": there is no such folder, and ", asked.endpoint,
                     " has no such model: look for a misspelling",
                     asked.with_token ? ", or whether the account of HF_TOKEN may see it"
                                      : "; if it is private, set HF_TOKEN"));
  }
  return absl::PermissionDeniedError(absl::StrCat(what, ": ", asked.endpoint, " answers HTTP ",
                                                  end.head.status, said_by(end.head),
                                                  asked.with_token ? ""
                                                                   : "; set HF_TOKEN if you "
                                                                     "have access"));
}

}  // namespace shoal::model::hub
