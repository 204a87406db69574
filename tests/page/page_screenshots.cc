// SPDX-License-Identifier: Apache-2.0
// shoal-page-screenshots FOLDER: starts a small swarm of the demo model and its gateway, asks
// something on the page, and writes pictures of it: desktop.png, dark.png, phone-chat.png,
// phone-swarm.png; and markdown.png, large.png of an answer and a swarm that are made up.
// PAGE_URL, if set, is a server that runs already.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/page/browser.h"
#include "tests/page/made_up_swarm.h"
#include "tests/page/served_page.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

// An answer that has one of each.
constexpr const char* kShowMarkdown = R"js((async () => {
  const {show_markdown} = await import("/page/markdown.js");
  const text = document.querySelector(".message:last-child .text");
  text.replaceChildren();
  show_markdown(text, `### How a swarm answers

Each **hop** computes a *span* of blocks with \`shoal-node\`; see <https://example.org/petals> or [the paper](https://arxiv.org/abs/2209.01188).

1. The client embeds the prompt.
2. Hops push rows to each other:
   - anchovy, blocks 0–2
   - bream, blocks 3–5
3. The last one returns a row.

| node | blocks | µs a block |
| --- | :---: | ---: |
| anchovy | 0–2 | 48 |
| bream | 3–5 | 31 |

> Nobody sees the whole model. <img src=x onerror=alert(1)> stays text.

\`\`\`python
client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
print(client.models.list())
\`\`\`
`);
})())js";

void settle() { std::this_thread::sleep_for(std::chrono::milliseconds(400)); }

void ask(Browser& browser, const std::string& text) {
  browser.evaluate("document.getElementById('prompt').focus()");
  browser.type(text);
  browser.press("Enter");
  if (!browser.becomes_true(
          "!document.querySelector('.message[aria-busy]') && "
          "document.querySelectorAll('.message.assistant footer button').length")) {
    throw std::runtime_error("no answer");
  }
}

void take(Browser& browser, const std::string& path) {
  settle();
  write_file(path, browser.screenshot());
  std::printf("%s\n", path.c_str());
}

int take_all(const std::string& folder) {
  const char* url = std::getenv("PAGE_URL");
  std::unique_ptr<ServedPage> served;
  if (url == nullptr) {
    served = std::make_unique<ServedPage>(
        std::vector<std::pair<std::string, std::string>>{{"0:3", "anchovy"},
                                                         {"3:6", "bream"},
                                                         {"6:8", "cod"},
                                                         {"0:5", "dory"},
                                                         {"2:6", "eel"},
                                                         {"4:6", "flounder"}});
  }
  const std::string page = url != nullptr ? url : served->url();
  Browser browser;
  browser.show_as({.width = 1440, .height = 1000, .still = true});
  browser.open(page);
  browser.becomes_true("document.querySelectorAll('.rows .node').length > 2");
  browser.evaluate(
      "document.getElementById('temperature').value = 0.6, "
      "document.getElementById('max-tokens').value = 110");
  ask(browser, "Once upon a time there was a fisherman who lived by the sea.");
  ask(browser, "One day he caught a golden fish, and it said to him:");
  browser.becomes_true("document.querySelectorAll('.falls li').length > 2");
  take(browser, folder + "/desktop.png");
  browser.show_as({.width = 1440, .height = 1000, .dark = true, .still = true});
  take(browser, folder + "/dark.png");
  browser.show_as({.width = 390, .height = 844, .scale = 1.5, .phone = true, .still = true});
  browser.evaluate("document.getElementById('messages').scrollTop = 1e6");
  take(browser, folder + "/phone-chat.png");
  browser.evaluate("document.getElementById('tab-swarm').click()");
  take(browser, folder + "/phone-swarm.png");
  browser.show_as({.width = 1440, .height = 1000, .still = true});
  browser.evaluate(std::string(kShowMadeUpSwarm) + "(" + kMadeUpSwarm + ")");
  browser.evaluate(kShowMarkdown);
  take(browser, folder + "/large.png");
  return 0;
}

}  // namespace
}  // namespace shoal::tests

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: shoal-page-screenshots FOLDER\n");
    return 2;
  }
  if (!shoal::tests::Browser::program()) {
    std::fprintf(stderr, "shoal-page-screenshots: Chromium is missing: scripts/setup --dev\n");
    return 1;
  }
  try {
    return shoal::tests::take_all(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "shoal-page-screenshots: %s\n", error.what());
    return 1;
  }
}
