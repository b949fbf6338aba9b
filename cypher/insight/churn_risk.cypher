// title: Which customers of a shelf may be leaving
// description: Users who bought of a category and have grown quieter than they used to be. A user's own rhythm is the
//   mean time between the days on which something was bought; the risk is 1 − 0.5^(silence / rhythm − 1): half when
//   twice the usual time has passed, and nothing before the usual time is over. With a single day of purchase the
//   rhythm of all the users looked at stands in. Reasons say how long the silence is, what is usual, and how the
//   interest of the latest half of the period compares with that of the earlier.
// param category: STRING -- path of a category, its sub-categories included
// param now: ZONED DATETIME = null -- the present; by default the time of the latest purchase of the category
// param limit: INTEGER = 100 -- most rows to return
// example: {"category": "Instruments", "now": "2026-05-01T00:00:00+00:00"}
// returns: user STRING, risk FLOAT, silent_days FLOAT, usual_days FLOAT, purchases INTEGER, reasons LIST<STRING>

CYPHER 25
CALL () {
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
  WITH DISTINCT p
  MATCH (u:User)-[did:BOUGHT]->(p)
  UNWIND did.times AS at
  WITH u, at
  // Before the division, which would make the first day of 1970 of -1, a purchase without a time.
  FILTER at >= 0
  LET day = at / 86400
  WITH u, min(day) AS first, max(day) AS last, count(DISTINCT day) AS visits, count(*) AS purchases
  RETURN collect({u: u, first: first, last: last, visits: visits, purchases: purchases}) AS users, max(last) AS latest,
         avg(CASE WHEN visits > 1 THEN 1.0 * (last - first) / (visits - 1) END) AS rhythm
}
// Sorted as one list: of rows, each would be held together with the list of all users, for which there is no room.
CALL (users, latest, rhythm) {
  UNWIND users AS x
  LET silent = coalesce($now.epochSeconds / 86400, latest) - x.last
  LET usual = CASE WHEN x.visits > 1 THEN 1.0 * (x.last - x.first) / (x.visits - 1) ELSE coalesce(rhythm, 30.0) END
  // Nobody's rhythm is shorter than a day.
  LET beat = CASE WHEN usual < 1.0 THEN 1.0 ELSE usual END
  LET risk = CASE WHEN silent <= beat THEN 0.0 ELSE 1.0 - 0.5 ^ (silent / beat - 1.0) END
  WITH collect([-risk, -silent, x.u.id, beat, x]) AS scored
  RETURN coll.sort(scored)[..$limit] AS quietest
}
UNWIND quietest AS y
WITH y[4] AS x, -y[0] AS risk, -y[1] AS silent, y[3] AS beat
LET u = x.u, visits = x.visits
// The days one by one of those alone that are shown: of all users they would not fit into memory.
LET half = (x.first + x.last) / 2
CALL (u, half) {
  MATCH (u)-[did:BOUGHT]->(p:Product)
  WHERE EXISTS { (p)-[:IN_CATEGORY]->(:Category)-[:SUBCATEGORY_OF]->{0,10}(:Category {path: $category}) }
  UNWIND did.times AS at
  WITH half, at
  FILTER at >= 0
  WITH DISTINCT half, at / 86400 AS day
  RETURN count(CASE WHEN day <= half THEN 1 END) AS early, count(CASE WHEN day > half THEN 1 END) AS late
}
RETURN u.id AS user, risk, 1.0 * silent AS silent_days, beat AS usual_days, x.purchases AS purchases,
       ['silent for ' + silent + ' days'] +
       CASE WHEN visits > 1 THEN ['usually back after ' + round(beat, 1) + ' days'] ELSE ['bought on one day'] END +
       CASE WHEN late < early AND visits > 2 THEN ['fewer visits lately than before'] ELSE [] END AS reasons
ORDER BY risk DESC, silent_days DESC, user
