// title: What will be sold in the weeks ahead
// description: Units a week of a product, or of a shelf (its sub-categories included) and of the products that sell
//   most on it, for the weeks ahead. The forecast is simple exponential smoothing (Brown 1959) of the weeks past; its
//   weight on the latest week is the one of 0.05 … 0.5 that errs least one week ahead in those weeks. Beside it stands
//   the naive forecast (the latest week once more), and how much each of the two erred on average one week ahead. The
//   interval holds 80 % of the probability of a negative binomial count with the forecast as mean and, as variance,
//   that of a Student's t whose scale and degrees of freedom are those of the errors (few errors tell little of how
//   great others may be), growing with every week ahead, or the mean where that is more. The weeks count from the first
//   sale of the product, or of the shelf; with fewer than 4 there is no forecast. A purchase without a time counts in
//   no week.
// param sku: STRING = null -- a product's sku
// param category: STRING = null -- path of a category
// param weeks: INTEGER in 1..26 = 4 -- how many weeks ahead
// param past_weeks: INTEGER in 4..104 = 26 -- how many weeks past to learn from
// param now: ZONED DATETIME = null -- the present; by default the latest event that the job "insight" saw, or the
//   latest purchase of what is looked at, if later
// param products: INTEGER in 0..1000 = 10 -- most products of a category that get a forecast of their own
// param limit: INTEGER = 1000 -- most rows to return
// either: sku, category
// example: {"category": "Instruments", "now": "2026-04-05T00:00:00+00:00", "weeks": 1}
// returns: kind STRING, name STRING, week STRING, forecast FLOAT, low INTEGER, high INTEGER, naive FLOAT,
//   error FLOAT, naive_error FLOAT, past_units INTEGER, note STRING

CYPHER 25
CALL () {
  MATCH (p:Product {sku: $sku})
  RETURN p
UNION
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
  RETURN p
}
WITH collect(DISTINCT p) AS products
CALL (products) {
  UNWIND products AS p
  MATCH (p)<-[did:BOUGHT]-(:User)
  UNWIND did.times AS at
  WITH at
  FILTER at >= 0
  RETURN min(at) AS first, max(at) AS latest
}
FILTER latest IS NOT NULL
// What stopped selling did not stop time: of the shop's latest event the fit of purchases knows.
OPTIONAL MATCH (m:IntentModel {id: 'purchase'})
// Seven days make a week, counted back from the present, so that every week is whole. The oldest is the first sale's.
LET till = coalesce($now.epochSeconds, CASE WHEN m.until > latest THEN m.until ELSE latest END)
LET oldest = CASE WHEN (till - first) / 604800 < $past_weeks THEN (till - first) / 604800 ELSE $past_weeks - 1 END
// The products that sell most, each with its weeks; then all of the category together.
CALL (products, till, oldest) {
  UNWIND products AS p
  MATCH (p)<-[did:BOUGHT]-(:User)
  UNWIND range(0, size(did.times) - 1) AS place
  LET at = did.times[place]
  FILTER at >= 0 AND at <= till
  LET ago = (till - at) / 604800,
      units = coalesce(CASE WHEN isNaN(did.values[place]) THEN 1.0 ELSE did.values[place] END, 1.0)
  FILTER ago <= oldest
  WITH p, ago, sum(units) AS units
  WITH p, collect({ago: ago, units: units}) AS weeks, sum(units) AS total
  ORDER BY total DESC, p.sku
  LIMIT CASE WHEN $category IS NULL THEN 1 ELSE $products END
  RETURN collect({kind: 'product', name: p.sku, weeks: weeks}) AS single
}
CALL (products, till, oldest) {
  UNWIND products AS p
  MATCH (p)<-[did:BOUGHT]-(:User)
  WHERE $category IS NOT NULL
  UNWIND range(0, size(did.times) - 1) AS place
  LET at = did.times[place]
  FILTER at >= 0 AND at <= till
  LET ago = (till - at) / 604800,
      units = coalesce(CASE WHEN isNaN(did.values[place]) THEN 1.0 ELSE did.values[place] END, 1.0)
  FILTER ago <= oldest
  WITH ago, sum(units) AS units
  RETURN collect({ago: ago, units: units}) AS together
}
// Of a present before the first sale nothing can be said, not even how few weeks there are.
LET things = CASE
               WHEN till < first THEN []
               WHEN $category IS NULL THEN single
               ELSE [{kind: 'category', name: $category, weeks: together}] + single
             END
UNWIND range(0, size(things) - 1) AS rank
LET thing = things[rank]
// Its weeks, the oldest first.
CALL (thing, oldest) {
  UNWIND range(0, oldest) AS ago
  WITH ago, reduce(s = 0.0, w IN thing.weeks | s + CASE WHEN w.ago = ago THEN w.units ELSE 0.0 END) AS units
  ORDER BY ago DESC
  RETURN collect(units) AS series
}
LET n = size(series)
CALL (series, n) {
  UNWIND [0.05, 0.1, 0.2, 0.3, 0.5] AS alpha
  // It starts at the mean of the first weeks, at most four: one week alone would weigh on it for long.
  LET head = series[..4]
  LET start = reduce(s = 0.0, y IN head | s + y) / size(head)
  LET fit = reduce(s = {level: start, square: 0.0, error: 0.0}, y IN series[1..] | {
    level: s.level + alpha * (y - s.level),
    square: s.square + (y - s.level) ^ 2,
    error: s.error + abs(y - s.level)
  })
  WITH alpha, fit
  ORDER BY fit.square, alpha
  LIMIT 1
  RETURN alpha, fit
}
LET steps = CASE WHEN n > 1 THEN 1.0 * (n - 1) END
// Student's t of d degrees of freedom has the variance d / (d − 2) times the square of its scale. Of three errors, the
// fewest of which there is a forecast, that is three times their mean square.
LET error = fit.error / steps, square = fit.square / CASE WHEN steps > 2.0 THEN steps - 2.0 ELSE 1.0 END,
    naive_error = reduce(s = 0.0, i IN range(1, n - 1) | s + abs(series[i] - series[i - 1])) / steps
UNWIND range(1, $weeks) AS ahead
LET mean = CASE WHEN n >= 4 THEN fit.level END
// Variance of simple exponential smoothing h steps ahead (Hyndman et al. 2008, section 6.1); a count's is its mean at
// least. A hair more than the mean keeps the negative binomial defined, which then is Poisson's.
LET growing = square * (1.0 + (ahead - 1) * alpha ^ 2)
LET variance = CASE WHEN growing > 1.001 * mean THEN growing ELSE 1.001 * mean END
CALL (mean, variance) {
  WHEN mean IS NULL THEN {
    RETURN null AS low, null AS high
  }
  WHEN mean < 0.0001 THEN {
    RETURN 0 AS low, 0 AS high
  }
  WHEN mean > 200.0 THEN {
    // So many that the normal distribution serves; its 90 % point is 1.281552.
    LET half = 1.281552 * sqrt(variance)
    RETURN toInteger(CASE WHEN mean > half THEN floor(mean - half) ELSE 0.0 END) AS low,
           toInteger(ceil(mean + half)) AS high
  }
  ELSE {
    LET r = mean * mean / (variance - mean), q = mean / variance
    // Low is the least count below or at which 10 % lie, high the same for 90 %; P(0) = q^r, and each count's
    // probability follows from the one before.
    LET found = reduce(s = {p: q ^ r, sum: 0.0, low: null, high: null}, k IN range(0, toInteger(mean * 10 + 100)) | {
      p: s.p * (k + r) / (k + 1) * (1.0 - q),
      sum: s.sum + s.p,
      low: CASE WHEN s.low IS NULL AND s.sum + s.p >= 0.1 THEN k ELSE s.low END,
      high: CASE WHEN s.high IS NULL AND s.sum + s.p >= 0.9 THEN k ELSE s.high END
    })
    RETURN found.low AS low, found.high AS high
  }
}
RETURN thing.kind AS kind, thing.name AS name,
       toString(date(datetime({epochSeconds: till + (ahead - 1) * 604800}))) AS week, mean AS forecast, low, high,
       CASE WHEN n >= 4 THEN series[-1] END AS naive, error, naive_error,
       toInteger(reduce(s = 0.0, y IN series | s + y)) AS past_units,
       CASE
         WHEN n < 4 THEN 'not enough data: ' + n + ' weeks since the first sale'
         WHEN error < naive_error THEN 'errs less than the naive forecast'
         ELSE 'no better than the naive forecast'
       END AS note
ORDER BY rank, ahead
LIMIT $limit
