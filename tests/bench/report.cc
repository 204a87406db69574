// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>

namespace shoal::bench {
namespace {

std::string text_of(const nlohmann::ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number_float()) return value.dump();
  const auto number = value.get<double>();
  return fmt::format("{:.{}f}", number, std::abs(number) < 10 ? 2 : std::abs(number) < 100 ? 1 : 0);
}

}  // namespace

std::string json_of(const Report& report) {
  nlohmann::ordered_json all = report.facts;
  if (report.points.size() == 1) {
    all.update(report.points.front());
  } else {
    all["points"] = report.points;
  }
  return all.dump(2) + "\n";
}

std::string table_of(const Report& report) {
  std::string text;
  for (const auto& [key, value] : report.facts.items()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", key, text_of(value));
  }
  text += "\n\n";
  if (report.points.empty()) return text;
  std::string rule;
  for (const auto& [key, value] : report.points.front().items()) {
    text += "| " + key + " ";
    rule += "| --- ";
  }
  text += "|\n" + rule + "|\n";
  for (const auto& point : report.points) {
    for (const auto& [key, value] : point.items()) text += "| " + text_of(value) + " ";
    text += "|\n";
  }
  return text;
}

absl::Status write_plot(const Report& report, const std::string& path) {
  constexpr double kWidth = 640, kHeight = 360, kLeft = 70, kRight = 20, kTop = 30, kBottom = 50;
  std::vector<double> xs, ys;
  for (const auto& point : report.points) {
    xs.push_back(std::log2(std::max(point.at(report.x).get<double>(), 1.0)));
    ys.push_back(point.at(report.y).get<double>());
  }
  const double least = *std::min_element(xs.begin(), xs.end());
  const double span = std::max(*std::max_element(xs.begin(), xs.end()) - least, 1.0);
  const double top = *std::max_element(ys.begin(), ys.end()) * 1.1;
  const auto across = [&](double x) {
    return kLeft + (x - least) / span * (kWidth - kLeft - kRight);
  };
  const auto down = [&](double y) {
    return kHeight - kBottom - y / (top > 0 ? top : 1) * (kHeight - kTop - kBottom);
  };
  std::string facts;
  for (const auto& [key, value] : report.facts.items()) {
    if (!value.is_number_float()) facts += key + " " + text_of(value) + "  ";
  }
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
      "<text x=\"{2}\" y=\"18\" font-size=\"11\">{3}</text>\n"
      "<text x=\"{4}\" y=\"{5}\" text-anchor=\"middle\">{6}</text>\n"
      "<text x=\"14\" y=\"{7}\" transform=\"rotate(-90 14 {7})\" "
      "text-anchor=\"middle\">{8}</text>\n",
      kWidth, kHeight, kLeft, facts, (kLeft + kWidth - kRight) / 2, kHeight - 10, report.x,
      (kTop + kHeight - kBottom) / 2, report.y);
  for (int i = 0; i <= 4; ++i) {
    const double y = top * i / 4;
    svg += fmt::format(
        "<line x1=\"{0}\" x2=\"{1}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\" stroke=\"#ddd\"/>"
        "<text x=\"{3}\" y=\"{4:.1f}\" text-anchor=\"end\">{5}</text>\n",
        kLeft, kWidth - kRight, down(y), kLeft - 6, down(y) + 4, text_of(y));
  }
  std::string line;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    line += fmt::format("{:.1f},{:.1f} ", across(xs[i]), down(ys[i]));
    svg += fmt::format(
        "<circle cx=\"{0:.1f}\" cy=\"{1:.1f}\" r=\"3\" fill=\"#0b6\"/>"
        "<text x=\"{0:.1f}\" y=\"{2}\" text-anchor=\"middle\">{3}</text>\n",
        across(xs[i]), down(ys[i]), kHeight - kBottom + 18, text_of(report.points[i].at(report.x)));
  }
  svg += "<polyline points=\"" + line + "\" fill=\"none\" stroke=\"#0b6\" stroke-width=\"2\"/>\n";
  svg += "</svg>\n";
  std::ofstream out(path);
  out << svg;
  out.close();
  if (!out) return absl::PermissionDeniedError("cannot write " + path);
  return absl::OkStatus();
}

}  // namespace shoal::bench
