#include "translate/pf_writer.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "translate/filter.h"
#include "translate/lines.h"
#include "translate/pf_words.h"
#include "wire/ip_address.h"

namespace ringplane::translate {
namespace {

constexpr std::size_t kMaxRules = 1'000'000;
constexpr unsigned kMaxDepth = 32;  // the kernel's own limit on jumps is 16

/// What becomes of a packet that falls off the end of a chain, if that is the same for all.
struct Tail {
  bool known = false;
  Verdict verdict = Verdict::kNone;
  Answer answer{};
};

std::string_view name_of(Hook hook) noexcept {
  switch (hook) {
    case Hook::kInput: return "input";
    case Hook::kForward: return "forward";
    case Hook::kOutput: return "output";
    case Hook::kNone: break;
  }
  return "";
}

class PfWriter {
 public:
  PfWriter(Filter&& filter, const WriteOptions& options)
      : filter_(std::move(filter)),
        options_(options),
        done_(filter_.statements.size(), false),
        told_(filter_.statements.size(), false) {
    for (std::size_t i = 0; i < filter_.chains.size(); ++i) chain_index_.emplace(filter_.chains[i].name, i);
    std::set<std::string> seen;
    for (const Chain& chain : filter_.chains) {
      if (is_wanted(chain)) stateful_ = asks_for_states(chain, seen) || stateful_;
    }
  }

  base::Result<Translation> write();

 private:
  [[nodiscard]] bool is_wanted(const Chain& chain) const noexcept {
    return options_.host_port.empty() ? chain.hook == Hook::kForward
                                      : chain.hook == Hook::kInput || chain.hook == Hook::kOutput;
  }
  /// Whether a rule of the chain or of those that it jumps to does; `seen` are not looked at again.
  [[nodiscard]] bool asks_for_states(const Chain& chain, std::set<std::string>& seen) const;
  void write_base_chains();
  void write_base_chain(const Chain& chain);
  void write_rules(const Chain& chain, std::size_t first, Tail tail, unsigned depth);
  /// False: what follows in the chain is never reached.
  bool write_rule(const Chain& chain, std::size_t at, const Tail& tail, unsigned depth);
  bool write_return(const Chain& chain, std::size_t at, const Conditions& conditions, const Tail& tail, unsigned depth);
  bool write_jump(const Chain& chain, std::size_t at, const Conditions& conditions, const Tail& tail, unsigned depth);
  void write_verdict(const FilterRule& rule, Verdict verdict, const Answer& answer, const Conditions& conditions,
                     unsigned depth);
  [[nodiscard]] Tail tail_behind(const Chain& chain, std::size_t first, const Tail& tail);
  [[nodiscard]] bool always_decides(const Chain& chain, unsigned depth);
  [[nodiscard]] bool is_answered_by_states(const FilterRule& rule, std::string& refusal) const;
  [[nodiscard]] std::string refusal_of_chain(const Chain& chain) const;
  void refuse_chain(const Chain& chain, const std::string& reason, std::set<std::string>& seen);
  void refuse(const FilterRule& rule, const std::string& reason, unsigned depth);
  void line(unsigned depth, const std::string& text);
  [[nodiscard]] std::string head() const;
  [[nodiscard]] static std::string text_of_table(const AddressTable& table);

  Filter filter_;
  const WriteOptions& options_;
  std::unordered_map<std::string, std::size_t> chain_index_;
  std::vector<bool> done_;  // statements whose rules stand in the text, or need not
  std::vector<bool> told_;  // statements whose refusal stands in the text
  PfWords words_;
  Place place_;
  bool stateful_ = false;
  bool drops_before_states_ = false;
  std::string body_;
  std::size_t lines_ = 0;
  std::vector<const Chain*> open_;  // that are being written, each inside the one before
};

bool PfWriter::asks_for_states(const Chain& chain, std::set<std::string>& seen) const {
  if (!seen.insert(chain.name).second) return false;
  bool asks = false;
  for (const FilterRule& rule : chain.rules) {
    asks = asks || rule.states != 0;
    const auto to = chain_index_.find(rule.target);
    if (!rule.target.empty() && to != chain_index_.end())
      asks = asks_for_states(filter_.chains[to->second], seen) || asks;
  }
  return asks;
}

void PfWriter::line(unsigned depth, const std::string& text) {
  if (++lines_ > kMaxRules) return;
  body_.append(std::size_t{2} * depth, ' ');
  body_ += text;
  body_ += '\n';
}

void PfWriter::refuse(const FilterRule& rule, const std::string& reason, unsigned depth) {
  Statement& statement = filter_.statements[rule.statement];
  if (statement.refusal.empty()) statement.refusal = reason;
  if (told_[rule.statement]) return;
  told_[rule.statement] = true;
  line(depth, "# not translated: " + shown(statement.where + ": " + statement.refusal, 320));
  line(depth, "#   " + shown(statement.text));
}

/// Whether pf's states do what a rule about states asks for, or why they do not.
bool PfWriter::is_answered_by_states(const FilterRule& rule, std::string& refusal) const {
  if (rule.states == 0 || (rule.states & kNew) != 0) return false;
  const bool of_connections = (rule.states & (kEstablished | kRelated)) != 0;
  if (rule.verdict == Verdict::kReturn || (rule.verdict == Verdict::kNone && !rule.log)) return true;
  if (rule.verdict == Verdict::kAccept) {
    if (of_connections) return true;
    refusal = "pf lets nothing pass that begins no connection and belongs to none";
  } else if (of_connections || rule.verdict != Verdict::kDrop) {
    refusal = "pf's rules are asked for the first packet of a connection only";
  }
  return true;
}

void PfWriter::write_verdict(const FilterRule& rule, Verdict verdict, const Answer& answer,
                             const Conditions& conditions, unsigned depth) {
  std::string action = verdict == Verdict::kAccept ? "pass" : verdict == Verdict::kNone ? "match" : "block drop";
  if (verdict == Verdict::kReject) {
    const std::string code = std::to_string(answer.code);
    const std::string code6 = std::to_string(answer.code6);
    const wire::Family family = rule.family == wire::Family::kNone ? place_.family : rule.family;
    action = answer.kind == Answer::Kind::kReset ? "block return-rst"
             : family == wire::Family::kIpv4     ? "block return-icmp (" + code + ")"
             : family == wire::Family::kIpv6     ? "block return-icmp6 (" + code6 + ")"
                                                 : "block return-icmp (" + code + ", " + code6 + ")";
  }
  action += " " + std::string(place_.way) + (rule.log ? " log" : "") + (verdict == Verdict::kNone ? "" : " quick");
  std::string state;
  if (verdict == Verdict::kAccept) {
    state = !stateful_ ? " no state" : rule.limit.empty() ? "" : " keep state (" + rule.limit + ")";
  }
  for (const std::string& condition : conditions.all) line(depth, action + condition + state + label_in_pf(rule.label));
}

Tail PfWriter::tail_behind(const Chain& chain, std::size_t first, const Tail& tail) {
  for (std::size_t i = first; i < chain.rules.size(); ++i) {
    const FilterRule& rule = chain.rules[i];
    std::string refusal = filter_.statements[rule.statement].refusal;
    const bool answered = is_answered_by_states(rule, refusal);
    if (!refusal.empty()) return {};
    if (answered || rule.never || (rule.verdict == Verdict::kNone && !rule.log)) continue;
    if (!words_.conditions_of(rule, place_).always || rule.log) return {};
    if (rule.verdict == Verdict::kReturn) return tail;
    if (rule.verdict == Verdict::kJump || rule.verdict == Verdict::kGoto || rule.verdict == Verdict::kNone) return {};
    return {.known = true, .verdict = rule.verdict, .answer = rule.answer};
  }
  return tail;
}

bool PfWriter::always_decides(const Chain& chain, unsigned depth) {
  if (depth > kMaxDepth) return false;
  for (const FilterRule& rule : chain.rules) {
    if (!filter_.statements[rule.statement].refusal.empty() || rule.states != 0) continue;
    if (rule.verdict == Verdict::kReturn) return false;
    if (!words_.conditions_of(rule, place_).always) continue;
    if (rule.verdict == Verdict::kAccept || rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject)
      return true;
  }
  return false;
}

bool PfWriter::write_return(const Chain& chain, std::size_t at, const Conditions& conditions, const Tail& tail,
                            unsigned depth) {
  const FilterRule& rule = chain.rules[at];
  if (tail.known) {
    FilterRule as_tail = rule;
    as_tail.answer = tail.answer;
    write_verdict(as_tail, tail.verdict, tail.answer, conditions, depth);
    return !conditions.always;
  }
  if (conditions.always) return false;
  if (at + 1 == chain.rules.size()) return true;
  const Conditions others = words_.opposite_of(rule, place_);
  if (!others.refusal.empty() || depth >= kMaxDepth) {
    refuse(rule, others.refusal.empty() ? "chains are nested too deep" : others.refusal, depth);
    return true;
  }
  for (const std::string& condition : others.all) {
    line(depth, "anchor " + std::string(place_.way) + condition + " {");
    write_rules(chain, at + 1, tail, depth + 1);
    line(depth, "}");
  }
  return false;
}

bool PfWriter::write_jump(const Chain& chain, std::size_t at, const Conditions& conditions, const Tail& tail,
                          unsigned depth) {
  const FilterRule& rule = chain.rules[at];
  const auto found = chain_index_.find(rule.target);
  if (found == chain_index_.end() || filter_.chains[found->second].hook != Hook::kNone) {
    refuse(rule, "target '" + shown(rule.target) + "': not yet", depth);
    return true;
  }
  const Chain& to = filter_.chains[found->second];
  // The kernel refuses a circle. Written out down to any depth, its lists would be multiplied at each round.
  if (depth >= kMaxDepth || std::ranges::find(open_, &to) != open_.end()) {
    refuse(rule, "chains jump in a circle, or more than 32 deep", depth);
    return true;
  }
  const bool goes = rule.verdict == Verdict::kGoto;
  const Tail behind = goes ? tail : tail_behind(chain, at + 1, tail);
  if (goes && !conditions.always && !tail.known && !always_decides(to, depth)) {
    refuse(rule, "pf cannot leave a chain on the way back", depth);
    return true;
  }
  if (rule.log) write_verdict(rule, Verdict::kNone, {}, conditions, depth);
  const std::string name =
      to.name.empty() || to.name.size() > 60 || !is_quotable(to.name) ? std::string() : " \"" + to.name + "\"";
  open_.push_back(&to);
  for (const std::string& condition : conditions.all) {
    line(depth, "anchor" + name + " " + std::string(place_.way) + condition + " {");
    write_rules(to, 0, behind, depth + 1);
    if (goes && tail.known && !conditions.always) {
      write_verdict({.statement = rule.statement}, tail.verdict, tail.answer, {.all = {text_of(place_)}}, depth + 1);
    }
    line(depth, "}");
    if (lines_ > kMaxRules) break;
  }
  open_.pop_back();
  return lines_ <= kMaxRules && !(goes && conditions.always);
}

bool PfWriter::write_rule(const Chain& chain, std::size_t at, const Tail& tail, unsigned depth) {
  const FilterRule& rule = chain.rules[at];
  std::string refusal = filter_.statements[rule.statement].refusal;
  Conditions conditions;
  bool answered = false;
  if (refusal.empty()) answered = is_answered_by_states(rule, refusal);
  if (refusal.empty() && !answered) {
    conditions = words_.conditions_of(rule, place_);
    refusal = conditions.refusal;
  }
  if (!refusal.empty()) {
    refuse(rule, refusal, depth);
    return true;
  }
  done_[rule.statement] = true;
  if (answered || conditions.all.empty()) return true;
  switch (rule.verdict) {
    case Verdict::kNone:
      if (rule.log) write_verdict(rule, Verdict::kNone, {}, conditions, depth);
      return true;
    case Verdict::kReturn: return write_return(chain, at, conditions, tail, depth);
    case Verdict::kJump:
    case Verdict::kGoto: return write_jump(chain, at, conditions, tail, depth);
    case Verdict::kAccept:
    case Verdict::kDrop:
    case Verdict::kReject: write_verdict(rule, rule.verdict, rule.answer, conditions, depth); break;
  }
  return !conditions.always;
}

void PfWriter::write_rules(const Chain& chain, std::size_t first, Tail tail, unsigned depth) {
  for (std::size_t i = first; i < chain.rules.size() && lines_ <= kMaxRules; ++i) {
    if (write_rule(chain, i, tail, depth)) continue;
    for (std::size_t rest = i + 1; rest < chain.rules.size(); ++rest) {  // never reached
      if (filter_.statements[chain.rules[rest].statement].refusal.empty()) done_[chain.rules[rest].statement] = true;
    }
    return;
  }
}

void PfWriter::write_base_chain(const Chain& chain) {
  place_ = {.hook = chain.hook,
            .way = "out",
            .host_port = options_.host_port,
            .host_interface = options_.host_port,
            .family = chain.family};
  if (chain.hook == Hook::kOutput) place_.way = "in";  // of the firewall
  std::set<std::string> own;
  for (const Chain& each : filter_.chains) {
    for (const FilterRule& rule : each.rules) {
      own.insert(rule.in.names.begin(), rule.in.names.end());
      own.insert(rule.out.names.begin(), rule.out.names.end());
    }
  }
  own.erase("lo");
  if (own.size() == 1) place_.host_interface = *own.begin();

  line(0, "# " + shown(chain.name));
  if (chain.hook == Hook::kForward && !chain.bridged && !chain.accepts && chain.family != wire::Family::kIpv4) {
    line(0, "# A router answered these itself; through a bridge they have to pass.");
    line(0, "pass out quick inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv } no state");
  }
  bool seen_states = false;
  for (const FilterRule& rule : chain.rules) {
    seen_states = seen_states || (rule.verdict == Verdict::kAccept && (rule.states & kEstablished) != 0);
    const bool drops = rule.verdict == Verdict::kDrop || rule.verdict == Verdict::kReject;
    drops_before_states_ = drops_before_states_ || (!seen_states && stateful_ && drops && rule.states == 0);
  }
  const Tail policy{.known = true, .verdict = chain.accepts ? Verdict::kAccept : Verdict::kDrop};
  write_rules(chain, 0, policy, 0);
  write_verdict({}, policy.verdict, {}, {.all = {text_of(place_)}}, 0);
}

std::string PfWriter::refusal_of_chain(const Chain& chain) const {
  if (options_.host_port.empty()) {
    return "packets of the host itself do not cross the firewall; '--host PORT' translates the rules of a host behind "
           "it";
  }
  return "chain '" + shown(chain.name) + "' is about what the host forwards";
}

void PfWriter::refuse_chain(const Chain& chain, const std::string& reason, std::set<std::string>& seen) {
  if (!seen.insert(chain.name).second) return;
  for (const FilterRule& rule : chain.rules) {
    Statement& statement = filter_.statements[rule.statement];
    if (!done_[rule.statement] && statement.refusal.empty()) statement.refusal = reason;
    const auto to = chain_index_.find(rule.target);
    if (!rule.target.empty() && to != chain_index_.end()) refuse_chain(filter_.chains[to->second], reason, seen);
  }
}

void PfWriter::write_base_chains() {
  std::vector<const Chain*> taken;
  std::vector<std::pair<const Chain*, std::string>> refused;
  for (const Chain& chain : filter_.chains) {
    if (chain.hook == Hook::kNone) continue;
    if (!is_wanted(chain)) {
      refused.emplace_back(&chain, refusal_of_chain(chain));
      continue;
    }
    const bool second = std::ranges::any_of(taken, [&chain](const Chain* other) {
      return other->hook == chain.hook && (other->family == chain.family || other->family == wire::Family::kNone ||
                                           chain.family == wire::Family::kNone);
    });
    if (second) {
      refused.emplace_back(&chain, "a second chain at hook '" + std::string(name_of(chain.hook)) +
                                       "', where each has to accept: pf has one list of rules");
      continue;
    }
    taken.push_back(&chain);
    write_base_chain(chain);
  }
  std::set<std::string> seen;
  for (const auto& [chain, reason] : refused) refuse_chain(*chain, reason, seen);
  for (const auto& [chain, reason] : refused) {
    if (!chain->accepts && chain->rules.empty() && is_wanted(*chain)) {
      filter_.statements.push_back({.where = "chain " + chain->name, .text = "policy drop", .refusal = reason});
      done_.push_back(false);
      told_.push_back(false);
    }
  }
}

std::string PfWriter::text_of_table(const AddressTable& table) {
  std::string text = "table <" + table.name + "> persist";
  if (!table.entries.empty()) {
    text += " {";
    std::size_t count = 0;
    for (const AddressTable::Entry& entry : table.entries) {
      text += count++ % 6 == 0 ? "\n  " : " ";
      text += (entry.negated ? "!" : "") + wire::to_string(entry.prefix) + (count < table.entries.size() ? "," : "");
    }
    text += "\n}";
  }
  return text + (table.note.empty() ? "" : "  # " + shown(table.note)) + "\n";
}

std::string PfWriter::head() const {
  std::string text = "# Translated from " + options_.source + " by ringplane import.\n";
  if (stateful_) {
    text +=
        "# pf's states stand for the rules about states: replies and errors of a connection pass with it, a TCP\n"
        "# connection begins with a SYN, and rules are asked for the first packet only.\n";
  }
  if (drops_before_states_) {
    text += "# Rules that drop before established connections are accepted do not end connections here.\n";
  }
  bool v4 = false;
  bool v6 = false;
  for (const Chain& chain : filter_.chains) {
    if (!is_wanted(chain)) continue;
    v4 = v4 || chain.family != wire::Family::kIpv6;
    v6 = v6 || chain.family != wire::Family::kIpv4;
  }
  if (v4 != v6) {
    text += std::string("# Nothing here is about ") + (v4 ? "IPv6" : "IPv4") +
            ", which passes unless other rules block it.\n";
  }
  for (const AddressTable& table : filter_.tables) text += text_of_table(table);
  for (const AddressTable& table : words_.tables()) text += text_of_table(table);
  for (const std::string& name : words_.ingress()) {
    text += "match in on " + name_in_pf(name) + " tag " + name_in_pf(name) + "\n";
  }
  return text;
}

base::Result<Translation> PfWriter::write() {
  write_base_chains();
  if (lines_ > kMaxRules)
    return base::fail("the chains unfold to more than 1,000,000 rules: jump less often to the same chain");
  Translation out{.text = head() + body_};
  out.statements = filter_.statements.size();
  for (std::size_t i = 0; i < filter_.statements.size(); ++i) {
    const Statement& statement = filter_.statements[i];
    if (statement.refusal.empty()) {
      ++out.translated;
    } else if (!told_[i]) {
      out.text += "# not translated: " + shown(statement.where + ": " + statement.refusal, 320) + "\n#   " +
                  shown(statement.text) + "\n";
    }
  }
  out.text += "# " + std::to_string(out.translated) + " of " + std::to_string(out.statements) + " translated\n";
  return out;
}

}  // namespace

base::Result<Translation> write_pf_conf(Filter filter, const WriteOptions& options) {
  return PfWriter(std::move(filter), options).write();
}

}  // namespace ringplane::translate
