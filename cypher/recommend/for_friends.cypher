// title: What friends liked
// description: Products that friends of a user bought, or rated with 4 stars or more, and do not regret (returned,
//   disliked, hid, or rated below 3), and that the user has not: the more friends, and the later, the higher. A friend
//   counts 1 for the latest event, half as much for one a half-life earlier (the live model's, a year while none is
//   live). Friendship is mutual, whoever of the two stated it. A reason is a friend, and what that adds.
// param user: STRING -- the user's id
// param limit: INTEGER = 10 -- most rows to return
// example: {"user": "cleo", "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, friends INTEGER, names LIST<STRING>,
//   reasons LIST<MAP>

CYPHER 25
MATCH (u:User {id: $user})-[:FRIEND_OF]-(friend:User)
WITH DISTINCT u, friend
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
MATCH (friend)-[did:BOUGHT|RATED]->(p:Product)
WHERE (type(did) = 'BOUGHT' OR did.rating >= 4.0) AND p.active AND coalesce(p.stock, 1) > 0
  AND NOT EXISTS {
    MATCH (friend)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p)
    WHERE type(no) <> 'RATED' OR no.rating < 3.0
  }
WITH u, friend, p, coalesce(live.half_life_days, 365.0) AS half_life, max(did.at.epochSeconds) AS at
FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p)
    WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(p) }
WITH collect({friend: friend, p: p, at: at}) AS liked, max(at) AS latest, half_life
UNWIND liked AS one
LET decay = CASE WHEN one.at IS NULL THEN 1.0 ELSE 0.5 ^ ((latest - one.at) / 86400.0 / half_life) END
WITH one.p AS p, decay, one.friend.id AS friend
ORDER BY decay DESC, friend
WITH p, sum(decay) AS score, collect({term: 'FRIEND_OF', part: decay, because: friend}) AS reasons
RETURN p.sku AS sku, p.title AS title, score, size(reasons) AS friends,
       coll.sort([reason IN reasons | reason.because]) AS names, reasons[..3] AS reasons
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, sku
LIMIT $limit
