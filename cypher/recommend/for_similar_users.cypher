// title: What people of like mind took
// description: Products that users with correlated interests took and this user has not. Two users are as alike as the
//   cosine of their interests over the products that they met (vector similarity, Breese et al. 1998), times n / (n +
//   2) for n products in common, so that a single one makes no twin. Compared are the 200 users who share most with the
//   30 strongest interests; the 50 most alike count, each with likeness times interest. What somebody regrets
//   (returned, disliked, hid, or rated below 3) is no interest. Nothing that the user bought or rated (unless it is
//   consumed) or regrets; nothing inactive or out of stock. A reason is a product that both took, for the user who
//   counts most; nobody else's name is told.
// param user: STRING -- the user's id
// param limit: INTEGER = 10 -- most rows to return
// example: {"user": "anna", "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, users INTEGER, reasons LIST<MAP>

CYPHER 25
MATCH (u:User {id: $user})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
CALL (u) {
  MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
  WHERE coalesce(did.strength, 1.0) > 0.0
    AND NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(h) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
  WITH h, sum(coalesce(did.strength, 1.0)) AS interest
  ORDER BY interest DESC, h.sku
  LIMIT 200
  RETURN collect({h: h, interest: interest}) AS mine, sqrt(sum(interest * interest)) AS norm
}
// Others who met the strongest of these: of each product at most 500, since the rare ones say more anyway.
CALL (u, mine) {
  UNWIND mine[..30] AS one
  WITH u, one.h AS h, one.interest AS interest
  CALL (u, h) {
    MATCH (o:User)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h)
    WHERE o <> u AND coalesce(did.strength, 1.0) > 0.0
    WITH DISTINCT o
    LIMIT 500
    RETURN o
  }
  LET rarity = interest / log(2 + COUNT { (h)<-[:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-() })
  WITH o, sum(rarity) AS overlap
  ORDER BY overlap DESC, o.id
  LIMIT 200
  RETURN o
}
CALL (o, mine) {
  MATCH (o)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(p:Product)
  WHERE coalesce(did.strength, 1.0) > 0.0
    AND NOT EXISTS { MATCH (o)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
  WITH p, sum(coalesce(did.strength, 1.0)) AS interest, mine
  ORDER BY interest DESC, p.sku
  LIMIT 200
  WITH p, interest, [m IN mine WHERE m.h = p][0] AS both
  RETURN collect({p: p, interest: interest}) AS theirs, sqrt(sum(interest * interest)) AS theirNorm,
         sum(both.interest * interest) AS dot, count(both) AS shared,
         collect(CASE WHEN both IS NOT NULL THEN {h: p, weight: both.interest * interest} END) AS common
}
WITH u, o, theirs, common, dot / (norm * theirNorm) * shared / (shared + 2.0) AS likeness
ORDER BY likeness DESC, o.id
LIMIT 50
FILTER likeness > 0.0
UNWIND theirs AS one
WITH u, one.p AS p, likeness * one.interest AS part, likeness, common
FILTER p.active AND coalesce(p.stock, 1) > 0
FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(p) }
WITH p, part, likeness, common
ORDER BY part DESC, likeness DESC
WITH p, sum(part) AS score, count(*) AS users, collect(common)[0] AS common
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, p.sku
LIMIT $limit
CALL (common) {
  UNWIND common AS one
  WITH one.h.title AS because, one.weight AS weight
  ORDER BY weight DESC, because
  LIMIT 3
  RETURN collect({term: 'BOTH_MET', because: because}) AS reasons
}
RETURN p.sku AS sku, p.title AS title, score, users, reasons
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, sku
