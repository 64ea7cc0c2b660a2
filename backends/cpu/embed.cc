// Kernels of embed_id and its gradient. Threads share the rows of W, so that what is added to a row
// is added in the order of the numbers.
#include <catena/op_attrs.hpp>
#include <catena/sdk.hpp>

#include <cpu/add_kernels.h>
#include <cpu/kernels.h>

#include <algorithm>
#include <cstring>

namespace catena::cpu {
namespace {

using sdk::Run;
using sdk::Tensor;

constexpr int64_t kGrain = 1 << 14;  // elements of a piece
constexpr int64_t kShares = 64;      // pieces of W at most: each reads all numbers

// Numbers of rows, counted from the start; -1 where they are to be ignored.
const int64_t* read_ids(const Run& run, const Tensor& x, int64_t rows, int ignore_attr) {
  const bool given = !run.is_none(ignore_attr);
  const int64_t ignore = given ? run.i(ignore_attr) : 0, n = x.size();
  int64_t* ids = run.scratch<int64_t>(n);
  sdk::dispatch<int32_t, int64_t, int8_t, int16_t>(x.dtype(), [&]<class I>() {
    const I* p = x.data<const I>();
    for (int64_t i = 0; i < n; ++i) {
      const auto id = static_cast<int64_t>(p[i]);
      const bool skip = given && id == ignore;
      if (!skip && (id < -rows || id >= rows))
        sdk::fail(CTN_EINVAL, "id ", id, " is out of bounds for W with ", rows, " rows");
      ids[i] = skip ? -1 : id < 0 ? id + rows : id;
    }
  });
  return ids;
}

void embed_id(const Run& run) {
  const Tensor x = run.in(in::embed_id::x), w = run.in(in::embed_id::W);
  const int64_t d = w.shape(1), n = x.size();
  const int64_t* ids = read_ids(run, x, w.shape(0), attr::embed_id::ignore_label);
  const float* from = w.data<const float>();
  float* to = run.out(0).data<float>();
  const auto bytes = static_cast<size_t>(d) * sizeof(float);
  sdk::parallel_for(run, n, std::max<int64_t>(1, kGrain / std::max<int64_t>(d, 1)),
                    [&](int64_t begin, int64_t end) {
                      if (bytes == 0) return;
                      for (int64_t i = begin; i < end; ++i) {
                        if (ids[i] < 0)
                          std::memset(to + i * d, 0, bytes);
                        else
                          std::memcpy(to + i * d, from + ids[i] * d, bytes);
                      }
                    });
}

void embed_id_grad(const Run& run) {
  const Tensor x = run.in(in::embed_id_grad::x), gw = run.out(0);
  const int64_t rows = gw.shape(0), d = gw.shape(1), n = x.size();
  const int64_t* ids = read_ids(run, x, rows, attr::embed_id_grad::ignore_label);
  const float* from = run.in(in::embed_id_grad::gy).data<const float>();
  float* to = gw.data<float>();
  const int64_t least = std::max<int64_t>(1, kGrain / std::max<int64_t>(d, 1));
  const int64_t grain = std::max(least, (rows + kShares - 1) / kShares);
  sdk::parallel_for(run, rows, grain, [&](int64_t begin, int64_t end) {
    std::fill(to + begin * d, to + end * d, 0.0f);
    for (int64_t i = 0; i < n; ++i) {
      if (ids[i] < begin || ids[i] >= end) continue;
      float* row = to + ids[i] * d;
      const float* add = from + i * d;
      for (int64_t k = 0; k < d; ++k) row[k] += add[k];
    }
  });
}

}  // namespace

ctn_status register_embed(const ctn_host* host, ctn_plugin plugin) {
  return add_kernels(
      host, plugin,
      {{"embed_id", 0, sdk::kernel<embed_id>}, {"embed_id_grad", 0, sdk::kernel<embed_id_grad>}});
}

}  // namespace catena::cpu
