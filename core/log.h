// Messages of a context: the host's hook and which levels and topics reach it. Without a hook the
// environment may send them to standard error (CATENA_LOG); nothing is written anywhere else.
#pragma once
#ifndef CATENA_CORE
#error "core/ is private: include <catena/catena.h> or <catena/plugin.h>"
#endif

#include <catena/catena.h>

#include <string>
#include <string_view>
#include <vector>

namespace catena {

class Log {
 public:
  // CATENA_LOG, where it is set and may be read, comes before the options' level.
  Log(const ctn_context_options& options, bool use_env);

  // Whether any topic is told of at this level: asked before a text is made.
  bool wants(int32_t level) const noexcept { return level <= highest_; }
  bool wants(int32_t level, std::string_view topic) const noexcept;
  void write(int32_t level, std::string_view topic, std::string_view text) const;

 private:
  struct Rule {
    int32_t level;
    std::string topic;  // empty: all
  };
  void read_rules(std::string_view text);

  ctn_log_fn hook_;
  void* user_;
  std::vector<Rule> rules_;
  int32_t highest_ = 0;
};

}  // namespace catena
