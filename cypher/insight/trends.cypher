// title: What is rising
// description: Products, shelves and aspects with more events in the latest weeks than their own past and the shop's
//   present would lead one to expect; p tells which of them chance alone would not bring about. An event of a product
//   or a shelf is what a user did, one of an aspect is a review that speaks of it. Expected is the share of the events
//   before, times all events of the window. The test for noise is the conditional binomial one: were nothing rising,
//   each event of the window and the past together would fall into the window with the chance that any event does; p is
//   how likely so many or more do (exactly, or by the normal approximation where there are thousands), multiplied by
//   the number of things of its kind that were looked at, so that of many some do not rise by accident; z is that count
//   in standard deviations, with continuity correction. Only what has at least $least events in the window, and more
//   than expected, is shown. The window ends at $now for all kinds.
// param now: ZONED DATETIME = null -- end of the window; by default the latest event of the category's products
// param days: INTEGER in 1..366 = 14 -- length of the window
// param past_days: INTEGER in 1..3660 = 90 -- length of the past before it
// param least: INTEGER in 1..1000000 = 5 -- fewest events in the window
// param category: STRING -- path of a category, its sub-categories included
// param kind: STRING in product|category|aspect = null -- the one kind to show; null for all
// param limit: INTEGER = 20 -- most rows to return, of all kinds together
// example: {"category": "Instruments", "least": 1, "days": 2}
// returns: kind STRING, key STRING, name STRING, events INTEGER, expected FLOAT, ratio FLOAT, z FLOAT, p FLOAT

CYPHER 25
MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
WITH collect(DISTINCT p) AS products
CALL (products) {
  WHEN $now IS NULL THEN {
    UNWIND products AS p
    MATCH (p)<-[did:VIEWED|CARTED|BOUGHT|RATED|CLICKED]-(:User)
    RETURN max(did.at.epochSeconds) AS latest
  }
  ELSE {
    RETURN null AS latest
  }
}
LET till = coalesce($now.epochSeconds, latest)
LET since = till - $days * 86400, before = till - ($days + $past_days) * 86400
CALL (products, till, since, before) {
  UNWIND products AS p
  MATCH (p)<-[did:VIEWED|CARTED|BOUGHT|RATED|CLICKED]-(:User)
  // Counted as they are read, a row a product: of a large shop millions would not fit into memory.
  UNWIND did.times AS at
  WITH p, count(CASE WHEN at > since AND at <= till AND at >= 0 THEN 1 END) AS recent,
       count(CASE WHEN at > before AND at <= since AND at >= 0 THEN 1 END) AS past
  WITH collect({p: p, recent: recent, past: past}) AS counts
  CALL (counts) {
    UNWIND counts AS x
    RETURN 'product' AS kind, x.p.sku AS key, x.p.title AS name, x.recent AS recent, x.past AS past
  UNION ALL
    UNWIND counts AS x
    LET p = x.p
    MATCH (p)-[:IN_CATEGORY]->(c:Category)
    WITH DISTINCT x, c
    RETURN 'category' AS kind, c.path AS key, c.name AS name, sum(x.recent) AS recent, sum(x.past) AS past
  }
  RETURN kind, key, name, recent, past
UNION ALL
  UNWIND products AS p
  MATCH (p)-[f:PRAISED_FOR|CRITICISED_FOR]->(a:Aspect)
  MATCH (:Evidence {fact: f.fact})-[:FROM]->(:Document)<-[:HAS_TEXT]-(r:Review)
  WITH DISTINCT a, r, since, till, before
  RETURN 'aspect' AS kind, a.key AS key, a.name AS name,
         count(CASE WHEN r.at.epochSeconds > since AND r.at.epochSeconds <= till THEN 1 END) AS recent,
         count(CASE WHEN r.at.epochSeconds > before AND r.at.epochSeconds <= since THEN 1 END) AS past
}
WITH kind,
     collect(CASE WHEN recent >= $least THEN {key: key, name: name, recent: recent, past: past} END) AS found,
     sum(recent) AS recent, sum(past) AS past, count(*) AS n
FILTER $kind IS NULL OR kind = $kind
UNWIND found AS one
// What has no past is given half an event of it: nothing rises from nothing infinitely.
LET expected = recent * (one.past + 0.5) / (past + 0.5 * n)
FILTER one.recent > expected
LET n_both = one.recent + one.past, q = 1.0 * recent / (recent + past)
LET z = (one.recent - 0.5 - n_both * q) / sqrt(n_both * q * (1.0 - q))
CALL (one, n_both, q, z) {
  // Without a past all events are of the window, and nothing is known.
  WHEN q = 1.0 THEN {
    RETURN 1.0 AS tail
  }
  // P(0) = (1 − q)^n, and each count's probability follows from the one before. Below e^−700 it would pass for 0.
  WHEN n_both * log(1.0 - q) > -700.0 THEN {
    RETURN reduce(s = {p: (1.0 - q) ^ n_both, sum: 0.0}, k IN range(0, n_both) | {
      p: s.p * (n_both - k) / (k + 1) * q / (1.0 - q),
      sum: s.sum + CASE WHEN k >= one.recent THEN s.p ELSE 0.0 END
    }).sum AS tail
  }
  ELSE {
    // The upper tail of the normal distribution (Abramowitz & Stegun 26.2.17, off by less than 7.5e-8).
    LET t = 1.0 / (1.0 + 0.2316419 * abs(z))
    LET above = 0.3989422804014327 * exp(-z * z / 2.0)
                * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    RETURN CASE WHEN z >= 0.0 THEN above ELSE 1.0 - above END AS tail
  }
}
LET chance = n * tail
RETURN kind, one.key AS key, one.name AS name, one.recent AS events, expected, one.recent / expected AS ratio,
       CASE WHEN q < 1.0 THEN z END AS z, CASE WHEN chance > 1.0 THEN 1.0 ELSE chance END AS p
ORDER BY p, z DESC, kind, key
LIMIT $limit
