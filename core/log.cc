// Log: see log.h.
#include "core/log.h"

#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "core/sys/standard_error.h"

namespace catena {
namespace {

constexpr std::string_view kLevels[] = {"", "error", "warn", "info", "debug"};  // by CTN_LOG_*

}  // namespace

Log::Log(const ctn_context_options& o, bool use_env) : hook_(o.log), user_(o.log_user) {
  if (o.log_level < 0 || o.log_level > CTN_LOG_DEBUG)
    fail(CTN_EINVAL, "context: log_level is " + std::to_string(o.log_level) + ", not 0 to " +
                         std::to_string(CTN_LOG_DEBUG));
  const char* text = use_env ? secure_getenv("CATENA_LOG") : nullptr;
  if (text && *text) {
    read_rules(text);
  } else if (hook_) {
    rules_.push_back({o.log_level ? o.log_level : CTN_LOG_WARN, {}});
  }
  for (const Rule& r : rules_) highest_ = std::max(highest_, r.level);
}

// "warn,debug:kernel": LEVEL or LEVEL:TOPIC between commas.
void Log::read_rules(std::string_view text) {
  for (size_t at = 0; at <= text.size();) {
    const std::string_view item = text.substr(at, text.find(',', at) - at);
    at += item.size() + 1;
    const size_t colon = item.find(':');
    const std::string_view level = item.substr(0, colon);
    const auto* found = std::find(std::begin(kLevels) + 1, std::end(kLevels), level);
    const bool empty_topic = colon == item.size() - 1;
    if (found == std::end(kLevels) || empty_topic)
      fail(CTN_EINVAL, "CATENA_LOG='" + std::string(text) + "': '" + std::string(item) +
                           "' is not error, warn, info or debug, alone or as in debug:kernel");
    const std::string_view topic = colon == item.npos ? "" : item.substr(colon + 1);
    rules_.push_back({static_cast<int32_t>(found - kLevels), std::string(topic)});
  }
}

bool Log::wants(int32_t level, std::string_view topic) const noexcept {
  return std::ranges::any_of(rules_, [&](const Rule& r) {
    return level <= r.level && (r.topic.empty() || r.topic == topic);
  });
}

void Log::write(int32_t level, std::string_view topic, std::string_view text) const {
  if (!wants(level, topic)) return;
  if (hook_) {
    hook_(user_, level, str(topic), str(text));
    return;
  }
  std::string line = "catena ";
  line += kLevels[std::clamp<int32_t>(level, CTN_LOG_ERROR, CTN_LOG_DEBUG)];
  line.append(" ").append(topic).append(": ").append(text).append("\n");
  write_standard_error(line);
}

}  // namespace catena
