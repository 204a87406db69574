// SPDX-License-Identifier: Apache-2.0
// For precompiled headers alone, as common_instances.h: of the libraries of the rooms that speak
// gRPC and Asio. Nobody calls it.
#pragma once

#include <spdlog/spdlog.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace shoal::common_instances {

inline void logs(const std::string& text, std::string_view view) {
  spdlog::debug("{}", text);
  spdlog::info("{}", text);
  spdlog::warn("{}", text);
  spdlog::warn("{} {}", text, view);
  spdlog::info("a");
  spdlog::warn("a");
}

inline void timers(boost::asio::io_context& io) {
  const auto timer =
      std::make_shared<boost::asio::steady_timer>(io, std::chrono::steady_clock::now());
  boost::asio::steady_timer other(io);
  other.expires_after(std::chrono::milliseconds(1));
  other.expires_at(std::chrono::steady_clock::now());
  other.async_wait([timer](const boost::system::error_code&) {});
  other.cancel();
  boost::asio::post(io, [timer] {});
  boost::asio::post(io, std::function<void()>());
  boost::asio::post(io.get_executor(), [timer] {});
  io.run();
}

}  // namespace shoal::common_instances
