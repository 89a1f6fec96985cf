// The course's GPT and its table of counts in plain JavaScript: text to ids, ids to logits.
//
// A classic script, loaded only when a reader asks, so that it also works in a page opened from a
// folder, where browsers load no modules and fetch nothing. The Python beside it:
// course_lib/scratch/bpe.py, course_lib/pytorch (the Transformer), course_tools/browser_model.py.

(function (course) {
  "use strict";

  // --- text and ids: course_lib/scratch/bpe.py ------------------------------------------------

  const WHITE = "\\t\\n\\v\\f\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
  const WORD = new RegExp(
    `'(?:[stmd]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+| ?[^${WHITE}\\p{L}\\p{N}]+|[${WHITE}]+(?![^${WHITE}])|[${WHITE}]+`,
    "gu");

  /** Ids of the byte tokens: those bytes that print as one sign of Latin-1 come first. */
  function byteOrder() {
    const prints = (byte) => (byte >= 33 && byte < 127) || (byte >= 161 && byte !== 173);
    const all = Array.from({ length: 256 }, (_, byte) => byte);
    return [...all.filter(prints), ...all.filter((byte) => !prints(byte))];
  }

  class Tokenizer {
    /** `merges` holds pairs of ids, flat, in the order in which they were learned. */
    constructor(merges, specialTokens) {
      this.first = specialTokens.length; // ids below it are no text
      this.tokens = specialTokens.map((token) => [...new TextEncoder().encode(token)]);
      this.byteId = new Array(256);
      for (const byte of byteOrder()) {
        this.byteId[byte] = this.tokens.length;
        this.tokens.push([byte]);
      }
      const known = new Map(this.tokens.slice(this.first).map((bytes, i) => [String(bytes), this.first + i]));
      this.merge = new Map(); // pair -> [rank, id of the merged token]
      for (let at = 0; at < merges.length; at += 2) {
        const bytes = [...this.tokens[merges[at]], ...this.tokens[merges[at + 1]]];
        if (!known.has(String(bytes))) {
          known.set(String(bytes), this.tokens.length);
          this.tokens.push(bytes);
        }
        this.merge.set(pairKey(merges[at], merges[at + 1]), [at, known.get(String(bytes))]);
      }
      this.words = new Map();
    }

    encode(text) {
      const ids = [];
      for (const [word] of text.matchAll(WORD)) {
        if (!this.words.has(word)) this.words.set(word, this.encodeWord(word));
        for (const id of this.words.get(word)) ids.push(id);
      }
      return ids;
    }

    /** Apply the earliest merge that fits, leftmost first, and again. */
    encodeWord(word) {
      const ids = Array.from(new TextEncoder().encode(word), (byte) => this.byteId[byte]);
      for (;;) {
        let best = Infinity, place = -1, merged = -1;
        for (let i = 0; i + 1 < ids.length; i += 1) {
          const found = this.merge.get(pairKey(ids[i], ids[i + 1]));
          if (found && found[0] < best) [best, place, merged] = [found[0], i, found[1]];
        }
        if (place < 0) return ids;
        ids.splice(place, 2, merged);
      }
    }

    /** The text of ids; bytes that are no UTF-8 become the sign U+FFFD. */
    decode(ids) {
      const bytes = ids.filter((id) => id >= this.first).flatMap((id) => this.tokens[id]);
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(bytes));
    }
  }

  const pairKey = (left, right) => left * 65536 + right;

  // --- the Transformer: one token at a time, with a key-value cache ---------------------------

  /** out[row] = weights[row] · x, four rows at a time. */
  function multiply(weights, x, out) {
    const n = x.length, fours = out.length - (out.length % 4);
    for (let row = 0, at = 0; row < fours; row += 4, at += 4 * n) {
      let a = 0, b = 0, c = 0, d = 0;
      for (let i = 0, w = at; i < n; i += 1, w += 1) {
        a += weights[w] * x[i];
        b += weights[w + n] * x[i];
        c += weights[w + 2 * n] * x[i];
        d += weights[w + 3 * n] * x[i];
      }
      out[row] = a;
      out[row + 1] = b;
      out[row + 2] = c;
      out[row + 3] = d;
    }
    for (let row = fours; row < out.length; row += 1) {
      let sum = 0;
      for (let i = 0; i < n; i += 1) sum += weights[row * n + i] * x[i];
      out[row] = sum;
    }
    return out;
  }

  /** RMSNorm: x / sqrt(mean(x²) + epsilon) · gain. */
  function normalise(x, gain, epsilon, out) {
    let squares = 0;
    for (let i = 0; i < x.length; i += 1) squares += x[i] * x[i];
    const scale = 1 / Math.sqrt(squares / x.length + epsilon);
    for (let i = 0; i < x.length; i += 1) out[i] = x[i] * scale * gain[i];
    return out;
  }

  class Transformer {
    constructor(config, params) {
      this.config = config;
      this.params = params;
      const { width, heads, hidden, layers, context, vocabulary } = config;
      const room = () => Array.from({ length: layers }, () => new Float32Array(context * width));
      this.keys = room();
      this.values = room();
      this.cached = []; // the ids whose keys and values are there
      const size = { normed: width, q: width, k: width, v: width, mixed: width, added: width, x: width,
        gate: hidden, up: hidden, scores: context, logits: vocabulary };
      this.own = Object.fromEntries(Object.entries(size).map(([name, n]) => [name, new Float32Array(n)]));
      this.half = width / heads / 2;
      this.turns = Float64Array.from({ length: this.half },
        (_, i) => config.rotary_base ** (-i / this.half));
    }

    /** The ids that are read: all; where the context is full, its last half and what follows. */
    window(ids) {
      const over = ids.length - this.config.context, away = this.config.context / 2 + 1;
      return over <= 0 ? ids : ids.slice(Math.ceil(over / away) * away);
    }

    /** Logits of the next token. What the last call has read is not read again. */
    logits(ids) {
      const read = this.window(ids);
      let same = 0;
      while (same < this.cached.length && this.cached[same] === read[same]) same += 1;
      same = Math.min(same, read.length - 1); // the last token's output is needed
      this.cached.length = same;
      for (const id of read.slice(same)) this.step(id);
      const { own, params, config } = this;
      normalise(own.x, params["norm"], config.epsilon, own.normed);
      return multiply(params["embedding"], own.normed, own.logits);
    }

    /** Read one token: x goes through all blocks, its keys and values into the cache. */
    step(id) {
      const { own, params, config } = this, { width } = config, position = this.cached.length;
      for (let i = 0; i < width; i += 1) own.x[i] = params["embedding"][id * width + i] * config.embedding_scale;
      for (let layer = 0; layer < config.layers; layer += 1) {
        normalise(own.x, params[`${layer}.norm1`], config.epsilon, own.normed);
        this.attend(layer, position);
        this.add();
        normalise(own.x, params[`${layer}.norm2`], config.epsilon, own.normed);
        this.feed(layer);
        this.add();
      }
      this.cached.push(id);
    }

    add() {
      const { x, added } = this.own;
      for (let i = 0; i < x.length; i += 1) x[i] += added[i];
    }

    /** Causal self-attention of the newest position over all that are in the cache. */
    attend(layer, position) {
      const { own, params, config } = this, { width, heads } = config, size = width / heads;
      multiply(params[`${layer}.q`], own.normed, own.q);
      multiply(params[`${layer}.k`], own.normed, own.k);
      multiply(params[`${layer}.v`], own.normed, own.v);
      this.rotate(own.q, position);
      this.rotate(own.k, position);
      this.keys[layer].set(own.k, position * width);
      this.values[layer].set(own.v, position * width);
      own.mixed.fill(0);
      for (let head = 0; head < heads; head += 1) this.mix(layer, position + 1, head * size, size);
      multiply(params[`${layer}.out`], own.mixed, own.added);
    }

    /** softmax(q · k / sqrt(size)) · v of one head, which begins at `from`. */
    mix(layer, length, from, size) {
      const { own, config } = this, { width } = config, keys = this.keys[layer], values = this.values[layer];
      const { q, scores, mixed } = own, scale = 1 / Math.sqrt(size);
      let most = -Infinity, total = 0;
      for (let t = 0; t < length; t += 1) {
        let sum = 0;
        for (let i = from, at = t * width + from; i < from + size; i += 1, at += 1) sum += q[i] * keys[at];
        scores[t] = sum * scale;
        most = Math.max(most, scores[t]);
      }
      for (let t = 0; t < length; t += 1) total += scores[t] = Math.exp(scores[t] - most);
      for (let t = 0; t < length; t += 1) {
        const share = scores[t] / total;
        for (let i = from, at = t * width + from; i < from + size; i += 1, at += 1) mixed[i] += share * values[at];
      }
    }

    /** Rotary positions: in each head the pair (i, i + half) turns by position · base^(-i / half). */
    rotate(x, position) {
      const { half, turns } = this;
      for (let i = 0; i < half; i += 1) {
        const cos = Math.cos(position * turns[i]), sin = Math.sin(position * turns[i]);
        for (let at = i; at < x.length; at += 2 * half) {
          const a = x[at], b = x[at + half];
          x[at] = a * cos - b * sin;
          x[at + half] = b * cos + a * sin;
        }
      }
    }

    /** SwiGLU: down(silu(gate(x)) · up(x)). */
    feed(layer) {
      const { own, params } = this, { gate, up } = own;
      multiply(params[`${layer}.gate`], own.normed, gate);
      multiply(params[`${layer}.up`], own.normed, up);
      for (let i = 0; i < gate.length; i += 1) gate[i] = (gate[i] / (1 + Math.exp(-gate[i]))) * up[i];
      multiply(params[`${layer}.down`], gate, own.added);
    }
  }

  // --- the table of counts: interpolated Kneser-Ney, trimmed ----------------------------------

  class Counts {
    /** `single`: probability of each token; `tables[n - 2]`: context -> ids and their shares. */
    constructor(single, tables) {
      this.single = single;
      this.tables = tables;
    }

    /** Probabilities of the next token: from order to order, share + what is left · lower order. */
    probabilities(ids) {
      const p = Float64Array.from(this.single);
      this.tables.forEach((table, i) => {
        const found = ids.length > i && table.get(ids.slice(ids.length - i - 1).join());
        if (!found) return;
        const left = 1 - found.shares.reduce((sum, share) => sum + share, 0);
        for (let id = 0; id < p.length; id += 1) p[id] *= left;
        found.ids.forEach((id, j) => { p[id] += found.shares[j]; });
      });
      return p;
    }
  }

  // --- drawing a token -------------------------------------------------------------------------

  /** Probabilities from logits: only the `topK` largest stay, divided by the temperature. */
  function probabilities(logits, temperature, topK) {
    const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a]).slice(0, topK);
    const p = new Float64Array(logits.length), most = logits[order[0]];
    if (!(temperature > 0)) {
      p[order[0]] = 1;
      return p;
    }
    let total = 0;
    for (const id of order) total += p[id] = Math.exp((logits[id] - most) / temperature);
    for (const id of order) p[id] /= total;
    return p;
  }

  /** The id at which the probabilities, added up, pass `chance` (from 0 to 1). */
  function draw(p, chance) {
    let sum = 0, last = 0;
    for (let id = 0; id < p.length; id += 1) {
      if (p[id] > 0) last = id;
      sum += p[id];
      if (chance < sum) return id;
    }
    return last;
  }

  // --- reading the data files -------------------------------------------------------------------

  function bytesOf(base64) {
    const signs = atob(base64), bytes = new Uint8Array(signs.length);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = signs.charCodeAt(i);
    return bytes;
  }

  /** Whole numbers times the scale of their row. */
  function scaled(whole, scales) {
    const out = new Float32Array(whole.length), width = whole.length / scales.length;
    for (let row = 0, at = 0; row < scales.length; row += 1) {
      for (let end = at + width; at < end; at += 1) out[at] = whole[at] * scales[row];
    }
    return out;
  }

  /** A model from what weights.js holds: int8 numbers, and a float32 scale for each row. */
  function readModel({ config, merges, special_tokens: specials, tensors, data }) {
    const bytes = bytesOf(data).buffer, params = {};
    for (const { name, shape, at, scales } of tensors) {
      const count = shape.reduce((a, b) => a * b);
      if (scales === undefined) {
        params[name] = new Float32Array(bytes.slice(at, at + 4 * count));
        continue;
      }
      const scale = new Float32Array(bytes.slice(scales, scales + 4 * shape[0]));
      params[name] = scaled(new Int8Array(bytes, at, count), scale);
    }
    return { tokenizer: new Tokenizer(merges, specials), transformer: new Transformer(config, params) };
  }

  /** A table of counts from what counts.js holds: see course_tools/browser_model.py. */
  function readCounts({ vocabulary, orders, base, data }) {
    const bytes = bytesOf(data);
    let at = 0;
    const next = () => { // seven bits a byte, the lowest first
      let value = 0, factor = 1;
      for (;;) {
        const byte = bytes[at++];
        value += (byte & 127) * factor;
        if (byte < 128) return value;
        factor *= 128;
      }
    };
    const share = () => base ** bytes[at++];
    const single = Float64Array.from(new Float32Array(bytes.slice(at, at + 4 * vocabulary).buffer));
    at += 4 * vocabulary;
    const tables = [];
    for (let order = 2; order <= orders; order += 1) {
      const table = new Map();
      let context = -1;
      for (let left = next(); left > 0; left -= 1) {
        context += 1 + next();
        const ids = [], shares = [];
        let id = -1;
        for (let entries = next(); entries > 0; entries -= 1) {
          ids.push(id += 1 + next());
          shares.push(share());
        }
        const names = [];
        for (let rest = context, n = 1; n < order; n += 1, rest = Math.floor(rest / vocabulary)) {
          names.unshift(rest % vocabulary);
        }
        table.set(names.join(), { ids, shares });
      }
      tables.push(table);
    }
    return new Counts(single, tables);
  }

  Object.assign(course, { WORD, Tokenizer, Transformer, Counts, probabilities, draw, readModel, readCounts });
})((globalThis.courseGPT = globalThis.courseGPT || {}));
