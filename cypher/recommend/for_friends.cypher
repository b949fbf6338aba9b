// title: What friends liked
// description: Products that friends of a user bought, or rated with 4 stars or more, and that the user has not: the
//   more friends, and the later, the higher. A friend counts 1 for the latest event, half as much for one a half-life
//   earlier (the live model's, a year while none is live). Friendship is mutual, whoever of the two stated it.
// param user: STRING -- the user's id
// param limit: INTEGER = 10 -- most rows to return
// example: {"user": "cleo", "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, friends INTEGER, names LIST<STRING>

CYPHER 25
MATCH (u:User {id: $user})-[:FRIEND_OF]-(friend:User)
WITH DISTINCT u, friend
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
MATCH (friend)-[did:BOUGHT|RATED]->(p:Product)
WHERE (type(did) = 'BOUGHT' OR did.rating >= 4.0) AND p.active AND coalesce(p.stock, 1) > 0
WITH u, friend, p, coalesce(live.half_life_days, 365.0) AS half_life, max(did.at.epochSeconds) AS at
FILTER NOT EXISTS { (u)-[:RATED|DISLIKED|RETURNED|HIDDEN]->(p) }
FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT]->(p) }
WITH collect({friend: friend, p: p, at: at}) AS liked, max(at) AS latest, half_life
UNWIND liked AS one
LET decay = CASE WHEN one.at IS NULL THEN 1.0 ELSE 0.5 ^ ((latest - one.at) / 86400.0 / half_life) END
WITH one.p AS p, sum(decay) AS score, collect(one.friend.id) AS friends
CALL (friends) {
  UNWIND friends AS id
  WITH id
  ORDER BY id
  RETURN collect(id) AS names
}
RETURN p.sku AS sku, p.title AS title, score, size(names) AS friends, names
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, sku
LIMIT $limit
