// title: What is rising
// description: Products whose events of the latest weeks exceed what their own past and the shop's present would lead
//   one to expect. Expected is the product's share of the events before, times all events of the window; z tells by how
//   many standard deviations of a Poisson count the window exceeds it, and p how likely so much or more is by chance
//   alone (normal approximation with continuity correction, multiplied by the number of products looked at, so that of
//   many products some do not rise by accident). Only products with at least $least events in the window are looked at.
// param now: ZONED DATETIME = null -- end of the window; by default the latest event of the graph's products
// param days: INTEGER = 14 -- length of the window
// param past_days: INTEGER = 90 -- length of the past before it
// param least: INTEGER = 5 -- fewest events in the window
// param category: STRING -- path of a category, its sub-categories included
// param limit: INTEGER = 20 -- most rows to return
// example: {"category": "Instruments", "least": 1, "days": 2}
// returns: sku STRING, title STRING, events INTEGER, expected FLOAT, ratio FLOAT, z FLOAT, p FLOAT

CYPHER 25
MATCH (c:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
WITH DISTINCT p
MATCH (p)<-[did:VIEWED|CARTED|BOUGHT|RATED|CLICKED]-(:User)
UNWIND did.times AS at
WITH p, at
FILTER at >= 0
WITH collect({p: p, at: at}) AS events, max(at) AS latest
LET till = coalesce($now.epochSeconds, latest)
LET since = till - $days * 86400, before = till - ($days + $past_days) * 86400
UNWIND events AS event
WITH event.p AS p,
     count(CASE WHEN event.at > since AND event.at <= till THEN 1 END) AS recent,
     count(CASE WHEN event.at > before AND event.at <= since THEN 1 END) AS past
WITH collect({p: p, recent: recent, past: past}) AS found, sum(recent) AS recent, sum(past) AS past, count(p) AS n
UNWIND found AS one
FILTER one.recent >= $least
// A product without a past is given half an event of it: nothing rises from nothing infinitely.
LET expected = recent * (one.past + 0.5) / (past + 0.5 * n)
LET z = (one.recent - 0.5 - expected) / sqrt(expected)
// The upper tail of the normal distribution (Abramowitz & Stegun 26.2.17, off by less than 7.5e-8).
LET t = 1.0 / (1.0 + 0.2316419 * abs(z))
LET tail = 0.3989422804014327 * exp(-z * z / 2.0)
           * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
LET chance = n * CASE WHEN z >= 0.0 THEN tail ELSE 1.0 - tail END
RETURN one.p.sku AS sku, one.p.title AS title, one.recent AS events, expected, one.recent / expected AS ratio, z,
       CASE WHEN chance > 1.0 THEN 1.0 ELSE chance END AS p
ORDER BY z DESC, sku
LIMIT $limit
