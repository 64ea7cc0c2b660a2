// Reductions: walks the plan's tasks, maps blocks of elements and hands them to the lanes, then
// runs the post program over finished accumulators. Bits depend on the plan alone.
#include <cpu/expr/reduce_lanes.h>

#include <algorithm>
#include <cstring>

namespace catena::cpu {

namespace {

constexpr size_t kRoom = 48 * 1024;
constexpr int64_t kResults = 256;  // finished accumulators gathered before post runs

// Moves the arguments of a walk through the dimensions that the walk does not have.
class Odometer {
 public:
  void init(const ctn_launch& l, int first, int ndim, WalkArg* args, int n_args) {
    l_ = &l;
    first_ = first;
    ndim_ = ndim;
    args_ = args;
    n_args_ = n_args;
  }
  void seek(int64_t position) {
    for (int k = 0; k < n_args_; ++k) args_[k].base = static_cast<char*>(l_->data[args_[k].arg]);
    for (int d = ndim_ - 1; d >= 0; --d) {
      index_[d] = position % l_->shape[first_ + d];
      position /= l_->shape[first_ + d];
      for (int k = 0; k < n_args_; ++k) args_[k].base += index_[d] * stride(k, d);
    }
  }
  void next() {
    for (int d = ndim_ - 1; d >= 0; --d) {
      for (int k = 0; k < n_args_; ++k) args_[k].base += stride(k, d);
      const int64_t size = l_->shape[first_ + d];
      if (++index_[d] < size) return;
      for (int k = 0; k < n_args_; ++k) args_[k].base -= stride(k, d) * size;
      index_[d] = 0;
    }
  }

 private:
  int64_t stride(int k, int d) const {
    return l_->strides[static_cast<ptrdiff_t>(args_[k].arg) * l_->ndim + first_ + d];
  }
  const ctn_launch* l_ = nullptr;
  int first_ = 0;
  int ndim_ = 0;
  WalkArg* args_ = nullptr;
  int n_args_ = 0;
  int64_t index_[CTN_MAX_NDIM] = {};
};

size_t bytes_of(const WalkArg* args, int n) {
  size_t bytes = 0;
  for (int k = 0; k < n; ++k) bytes += 2 * args[k].size;
  return bytes;
}

// Everything one thread needs for tasks of one launch.
class Reducer {
 public:
  Reducer(const Program& p, const ctn_launch& l, const ReducePlan& plan)
      : p_(p), l_(l), plan_(plan), lanes_(p, plan, cycles()) {
    init_map();
    init_post();
  }

  size_t bytes() const {
    return Frame::bytes(p_.map, map_walk_.block()) + map_walk_.staging_bytes() + lanes_.bytes() +
           Frame::bytes(p_.post, post_walk_.block()) + post_walk_.staging_bytes() +
           p_.accs.size() * (round_up(result_room() * sizeof(uint64_t), kLine) + kLine) +
           2 * round_up(p_.accs.size() * sizeof(char*), kLine);
  }

  void bind(char* room) {
    Carver carver(room);
    map_.bind(p_.map, carver, map_walk_.block());
    map_walk_.set_staging(carver);
    map_.size = plan_.kept * plan_.reduced;
    map_.enter(l_, std::min(map_walk_.block(), map_.size));
    lanes_.bind(carver, l_);
    post_.bind(p_.post, carver, post_walk_.block());
    post_walk_.set_staging(carver);
    post_.size = plan_.reduced;
    post_.enter(l_, std::min(post_walk_.block(), plan_.kept));
    items_ = carver.take<char*>(p_.accs.size());
    results_ = carver.take<char*>(p_.accs.size());
    for (size_t k = 0; k < p_.accs.size(); ++k) {
      results_[k] = carver.take<char>(result_room() * sizeof(uint64_t) + kLine);
    }
  }

  // Reduces elements [first, last) for kept elements [begin, end). With `partial`, the accumulators
  // are left there, 8 * kept bytes for each; otherwise post stores the outputs.
  void run(int64_t begin, int64_t end, int64_t first, int64_t last, char* partial) {
    partial_ = partial;
    if (plan_.order == ReduceOrder::kAcross) {
      run_across(begin, end, first, last);
    } else {
      run_along(begin, end, first, last);
    }
  }

  // Joins the partial results of all reduced tasks and stores the outputs.
  void finish(int64_t begin, int64_t end, const char* partials, size_t task_bytes);

  // No elements to reduce: the outputs are post(identity).
  void run_empty();

 private:
  int64_t cycles() const {
    return plan_.order == ReduceOrder::kAcross ? plan_.reduced
                                               : plan_.reduced * plan_.width / plan_.lanes + 1;
  }
  size_t result_room() const { return static_cast<size_t>(std::max(kResults, plan_.lanes)); }
  bool spans() const { return plan_.spans; }

  void init_map();
  void init_post();
  void run_across(int64_t begin, int64_t end, int64_t first, int64_t last);
  void run_along(int64_t begin, int64_t end, int64_t first, int64_t last);
  void reduce_short_row(int64_t first, int64_t last, int64_t ready);
  void reduce_row(int64_t first, int64_t last, int64_t ready);
  void map_items() {
    for (size_t k = 0; k < p_.accs.size(); ++k) items_[k] = map_.at[p_.map.yields[k]];
  }
  // Finished accumulators of kept elements [at, at + n), the first at from[k].
  void deliver(int64_t at, int64_t n, char* const* from);
  void run_post(int64_t at, int64_t n, char* const* from);

  const Program& p_;
  const ctn_launch& l_;
  const ReducePlan& plan_;
  Lanes lanes_;
  char* partial_ = nullptr;

  WalkArg map_args_[CTN_FORM_MAX_ARGS];
  int n_map_args_ = 0;
  Walk map_walk_;
  Odometer map_outer_;
  Frame map_;
  // the walked dimensions where they are not the launch's own sequence
  int64_t along_shape_[CTN_MAX_NDIM];
  int64_t along_strides_[CTN_FORM_MAX_ARGS][CTN_MAX_NDIM];

  WalkArg post_args_[CTN_FORM_MAX_ARGS];
  Walk post_walk_;
  Frame post_;
  char** items_ = nullptr;
  char** results_ = nullptr;
};

void Reducer::init_map() {
  const int kept = plan_.n_kept;
  const int reduced = plan_.n_reduced;
  if (plan_.reduced == 0) return map_walk_.init(0, nullptr, map_args_, 0, 1);
  if (plan_.order == ReduceOrder::kAcross) {
    n_map_args_ = walk_args(p_, p_.map, l_, 0, map_args_);
    map_walk_.init(kept, l_.shape, map_args_, n_map_args_, plan_.lanes);
    map_outer_.init(l_, kept, reduced, map_args_, n_map_args_);
    return;
  }
  n_map_args_ = walk_args(p_, p_.map, l_, kept, map_args_);
  const bool rows = plan_.width > 1;
  if (rows) {
    for (int d = 0; d < reduced; ++d) along_shape_[d] = l_.shape[kept + d];
    along_shape_[reduced] = plan_.width;
    for (int k = 0; k < n_map_args_; ++k) {
      const int64_t* own = l_.strides + static_cast<ptrdiff_t>(map_args_[k].arg) * l_.ndim;
      std::copy(own + kept, own + l_.ndim, along_strides_[k]);
      along_strides_[k][reduced] = own[kept - 1];
      map_args_[k].strides = along_strides_[k];
    }
  }
  const int64_t block =
      spans() ? choose_block(p_.map, bytes_of(map_args_, n_map_args_)) : plan_.lanes;
  map_walk_.init(reduced + (rows ? 1 : 0), rows ? along_shape_ : l_.shape + kept, map_args_,
                 n_map_args_, block);
  map_outer_.init(l_, 0, rows ? kept - 1 : kept, map_args_, n_map_args_);
}

void Reducer::init_post() {
  const int n = walk_args(p_, p_.post, l_, 0, post_args_);
  post_walk_.init(plan_.n_kept, l_.shape, post_args_, n, 256);
}

void Reducer::run_across(int64_t begin, int64_t end, int64_t first, int64_t last) {
  for (map_walk_.seek(begin); map_walk_.position() < end;) {
    const int64_t at = map_walk_.position();
    const int64_t n = map_walk_.length(end);
    lanes_.reset();
    map_.index.first = at;
    map_.index.inner = plan_.reduced;
    map_outer_.seek(first);
    int64_t count = 0;
    for (int64_t r = first; r < last; ++r) {
      map_.index.base = r;
      map_walk_.fetch(map_, n);
      map_.run(n);
      map_items();
      lanes_.join(items_, 0, n);
      if (++count == kLevelItems) {
        lanes_.carry();
        count = 0;
      }
      map_outer_.next();
    }
    lanes_.merge();
    for (size_t k = 0; k < p_.accs.size(); ++k) items_[k] = lanes_.result(k);
    deliver(at, n, items_);
    map_walk_.advance(n);
  }
}

void Reducer::run_along(int64_t begin, int64_t end, int64_t first, int64_t last) {
  const int64_t width = plan_.width;
  map_.index.period = width > 1 ? width : INT64_MAX;
  map_.index.outer = width > 1 ? 1 : 0;
  map_.index.inner = width > 1 ? plan_.reduced : 1;
  int64_t start = begin;
  int64_t ready = 0;
  map_outer_.seek(begin / width);
  const bool one_block =
      plan_.spans && last - first <= map_walk_.row_block() && last - first <= kLevelItems * kLanes;
  for (int64_t at = begin; at < end; at += width) {
    map_.index.base = at * plan_.reduced;
    if (one_block) {
      reduce_short_row(first, last, ready);
    } else {
      reduce_row(first * width, last * width, ready);
    }
    ready += width;
    if (ready + width > static_cast<int64_t>(result_room())) {
      deliver(start, ready, results_);
      start += ready;
      ready = 0;
    }
    map_outer_.next();
  }
  if (ready > 0) deliver(start, ready, results_);
}

// A row that is one block and needs one level: the same as reduce_row, without lanes in memory.
void Reducer::reduce_short_row(int64_t first, int64_t last, int64_t ready) {
  map_walk_.seek(first);
  map_.index.first = first;
  map_walk_.fetch(map_, last - first);
  map_.run(last - first);
  for (size_t k = 0; k < p_.accs.size(); ++k) {
    const Accumulator& a = p_.accs[k];
    const char* items = map_.at[p_.map.yields[k]];
    a.join.all(results_[k] + ready * a.size, &a.identity, items, last - first);
  }
}

// Items [first, last) of one row, in C order over the reduced dimensions and the row's width. The
// accumulators go to element `ready` of the results.
void Reducer::reduce_row(int64_t first, int64_t last, int64_t ready) {
  lanes_.reset();
  const int64_t level = plan_.lanes * kLevelItems;
  for (map_walk_.seek(first); map_walk_.position() < last;) {
    const int64_t at = map_walk_.position();
    const int64_t phase = at % plan_.lanes;
    int64_t limit = std::min(last, at - at % level + level);
    if (!spans()) limit = std::min(limit, at + plan_.lanes - phase);
    const int64_t n = map_walk_.length(limit);
    map_.index.first = at;
    map_walk_.fetch(map_, n);
    map_.run(n);
    map_items();
    if (spans()) {
      lanes_.join_span(items_, phase, n);
    } else {
      lanes_.join(items_, phase, n);
    }
    if ((at + n) % level == 0) lanes_.carry();
    map_walk_.advance(n);
  }
  lanes_.merge();
  lanes_.fold(plan_.width);
  for (size_t k = 0; k < p_.accs.size(); ++k) {
    const auto size = static_cast<size_t>(p_.accs[k].size);
    std::memcpy(results_[k] + static_cast<size_t>(ready) * size, lanes_.result(k),
                static_cast<size_t>(plan_.width) * size);
  }
}

void Reducer::deliver(int64_t at, int64_t n, char* const* from) {
  if (partial_ == nullptr) return run_post(at, n, from);
  char* to = partial_;
  for (size_t k = 0; k < p_.accs.size(); ++k, to += plan_.kept * 8) {
    const auto size = static_cast<size_t>(p_.accs[k].size);
    std::memcpy(to + static_cast<size_t>(at) * size, from[k], static_cast<size_t>(n) * size);
  }
}

void Reducer::run_post(int64_t at, int64_t n, char* const* from) {
  const int64_t end = at + n;
  for (post_walk_.seek(at); post_walk_.position() < end;) {
    const int64_t position = post_walk_.position();
    const int64_t m = post_walk_.length(end);
    for (size_t k = 0; k < p_.accs.size(); ++k) {
      post_.at[p_.post.at.acc + k] = from[k] + (position - at) * p_.accs[k].size;
    }
    post_.index.first = position;
    post_walk_.fetch(post_, m);
    post_.run(m);
    post_walk_.flush(m);
    post_walk_.advance(m);
  }
}

void Reducer::finish(int64_t begin, int64_t end, const char* partials, size_t task_bytes) {
  partial_ = nullptr;
  const size_t n_accs = p_.accs.size();
  for (int64_t at = begin; at < end; at += plan_.lanes) {
    const int64_t n = std::min(plan_.lanes, end - at);
    lanes_.reset();
    for (int64_t task = 0; task < plan_.reduced_tasks; ++task) {
      const char* from = partials + static_cast<size_t>(task) * task_bytes;
      for (size_t k = 0; k < n_accs; ++k) {
        const auto size = static_cast<size_t>(p_.accs[k].size);
        const char* p = from + static_cast<size_t>(plan_.kept) * 8 * k;
        std::memcpy(results_[k], p + static_cast<size_t>(at) * size, static_cast<size_t>(n) * size);
      }
      lanes_.join(results_, 0, n);
    }
    lanes_.merge();
    for (size_t k = 0; k < n_accs; ++k) items_[k] = lanes_.result(k);
    run_post(at, n, items_);
  }
}

void Reducer::run_empty() {
  for (int64_t at = 0; at < plan_.kept; at += plan_.lanes) {
    lanes_.reset();
    lanes_.merge();
    for (size_t k = 0; k < p_.accs.size(); ++k) items_[k] = lanes_.result(k);
    run_post(at, std::min(plan_.lanes, plan_.kept - at), items_);
  }
}

struct Job {
  const Program* program;
  const ctn_launch* launch;
  const ReducePlan* plan;
  char* partials;
  size_t task_bytes;
};

// Runs `body` with a bound reducer.
template <class Body>
ctn_status with_reducer(const Job& job, Body body) {
  Reducer reducer(*job.program, *job.launch, *job.plan);
  const size_t bytes = reducer.bytes();
  Room<kRoom> room(bytes);
  if (room.get() == nullptr) return fail_memory(job.program->host, bytes);
  reducer.bind(room.get());
  body(reducer);
  return CTN_OK;
}

ctn_status CTN_CALL run_tasks(void* arg, int64_t begin, int64_t end) {
  const Job& job = *static_cast<const Job*>(arg);
  return with_reducer(job, [&](Reducer& reducer) {
    const ReducePlan& plan = *job.plan;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t kept = task / plan.reduced_tasks * plan.kept_step;
      const int64_t part = task % plan.reduced_tasks;
      const int64_t first = part * plan.reduced_step;
      char* partial = job.partials;
      if (partial != nullptr) partial += static_cast<size_t>(part) * job.task_bytes;
      reducer.run(kept, std::min(plan.kept, kept + plan.kept_step), first,
                  std::min(plan.reduced, first + plan.reduced_step), partial);
    }
  });
}

}  // namespace

ctn_status run_reduction(const Program& p, const ctn_launch& l) {
  const ReducePlan plan = plan_reduction(p, l);
  Job job{&p, &l, &plan, nullptr, 0};
  if (plan.kept == 0) return CTN_OK;
  if (plan.reduced == 0) return with_reducer(job, [](Reducer& r) { r.run_empty(); });
  const int64_t tasks = plan.kept_tasks * plan.reduced_tasks;
  if (tasks == 1) return run_tasks(&job, 0, 1);
  if (plan.reduced_tasks > 1) {
    job.task_bytes = static_cast<size_t>(plan.kept) * p.accs.size() * 8;
    void* room = nullptr;
    const ctn_status status =
        p.host->scratch(l.exec, job.task_bytes * static_cast<size_t>(plan.reduced_tasks), &room);
    if (status != CTN_OK) return status;
    job.partials = static_cast<char*>(room);
  }
  const ctn_status status = p.host->parallel_for(l.exec, tasks, 1, run_tasks, &job);
  if (status != CTN_OK || plan.reduced_tasks == 1) return status;
  return with_reducer(
      job, [&](Reducer& reducer) { reducer.finish(0, plan.kept, job.partials, job.task_bytes); });
}

}  // namespace catena::cpu
