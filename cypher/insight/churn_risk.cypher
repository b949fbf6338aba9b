// title: Which customers of a shelf may be leaving
// description: Users who bought of a category and have grown quieter than they used to be, by recency, frequency and
//   falling interest, all three read from purchases up to $now. A user's own rhythm is the mean time between the days
//   on which something was bought, to which the mean rhythm of all the users looked at counts as two gaps more: few
//   purchases tell little. Falling is Laplace's test of a trend in the days of purchase (Cox and Lewis 1966): by how
//   many standard errors the mean of those between the first and the last lies before the middle; 0 where it does not.
//   The risk is 1 − 0.5^(overdue + falling / 5), overdue being silence / rhythm − 1, or 0 before the usual time is
//   over: with a steady interest half when twice the usual time has passed. Reasons say each, of the rhythm the user's
//   own mean, and of falling interest where it is beyond 1.645 (5 % by chance).
// param category: STRING -- path of a category, its sub-categories included
// param now: ZONED DATETIME = null -- the present; by default the time of the latest purchase of the category
// param limit: INTEGER = 100 -- most rows to return
// example: {"category": "Instruments", "now": "2026-05-01T00:00:00+00:00"}
// returns: user STRING, risk FLOAT, silent_days FLOAT, usual_days FLOAT, falling FLOAT, purchases INTEGER,
//   reasons LIST<STRING>

CYPHER 25
CALL () {
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
  WITH DISTINCT p
  MATCH (u:User)-[did:BOUGHT]->(p)
  UNWIND did.times AS at
  WITH u, at
  // Before the division, which would make the first day of 1970 of -1, a purchase without a time.
  FILTER at >= 0 AND ($now IS NULL OR at <= $now.epochSeconds)
  LET day = at / 86400
  WITH u, min(day) AS first, max(day) AS last, count(DISTINCT day) AS visits,
       avg(DISTINCT day) AS middle, count(*) AS purchases
  LET falling = CASE
                  WHEN visits < 3 OR middle >= (first + last) / 2.0 THEN 0.0
                  ELSE ((first + last) / 2.0 - middle) / (last - first) * visits * sqrt(12.0 / (visits - 2))
                END
  RETURN collect({u: u, first: first, last: last, visits: visits, purchases: purchases, falling: falling}) AS users,
         max(last) AS latest, avg(CASE WHEN visits > 1 THEN 1.0 * (last - first) / (visits - 1) END) AS rhythm
}
// Sorted as one list: of rows, each would be held together with the list of all users, for which there is no room.
CALL (users, latest, rhythm) {
  UNWIND users AS x
  LET silent = coalesce($now.epochSeconds / 86400, latest) - x.last
  LET usual = (x.last - x.first + 2.0 * coalesce(rhythm, 30.0)) / (x.visits + 1)
  // Nobody's rhythm is shorter than a day.
  LET beat = CASE WHEN usual < 1.0 THEN 1.0 ELSE usual END
  LET overdue = CASE WHEN silent <= beat THEN 0.0 ELSE silent / beat - 1.0 END
  LET risk = 1.0 - 0.5 ^ (overdue + x.falling / 5.0)
  WITH collect([-risk, -silent, x.u.id, beat, x]) AS scored
  RETURN coll.sort(scored)[..$limit] AS quietest
}
UNWIND quietest AS y
WITH y[4] AS x, -y[0] AS risk, -y[1] AS silent, y[3] AS beat
RETURN x.u.id AS user, risk, 1.0 * silent AS silent_days, beat AS usual_days, x.falling AS falling,
       x.purchases AS purchases,
       ['silent for ' + silent + ' days'] +
       CASE
         WHEN x.visits > 1 THEN ['usually back after ' + round(1.0 * (x.last - x.first) / (x.visits - 1), 1) + ' days']
         ELSE ['bought on one day']
       END +
       CASE WHEN x.falling > 1.645 THEN ['fewer visits lately than before'] ELSE [] END AS reasons
ORDER BY risk DESC, silent_days DESC, user
