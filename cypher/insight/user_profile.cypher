// title: What a user is interested in
// description: A user's interests by strength, from events, reviews and stated interests: shelves, brands, attribute
//   values and aspects of the products met, each as its share of the interest of its kind. Interest halves with every
//   half-life before the user's latest event (the live model's, a year while none is live). An aspect counts where
//   reviewers praise it in what the user took, and double where the user's own review names it.
// param user: STRING -- the user's id
// param per_kind: INTEGER = 5 -- most interests of a kind
// example: {"user": "anna"}
// returns: kind STRING, name STRING, strength FLOAT, products INTEGER, latest ZONED DATETIME

CYPHER 25
MATCH (u:User {id: $user})
OPTIONAL MATCH (live:ModelVersion {live: true})
CALL (u, live) {
  MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
  WHERE coalesce(did.strength, 1.0) > 0.0
  LET days = coalesce((u.last_at.epochSeconds - did.at.epochSeconds) / 86400.0, 0.0)
  LET decay = 0.5 ^ (CASE WHEN days > 0.0 THEN days ELSE 0.0 END / coalesce(live.half_life_days, 365.0))
  RETURN h, sum(coalesce(did.strength, 1.0) * decay) AS interest, max(did.at) AS at
}
CALL (u, h, interest) {
  MATCH (h)-[:IN_CATEGORY]->(c:Category)
  RETURN 'category' AS kind, c.path AS name, interest AS part
UNION
  MATCH (h)-[:MADE_BY]->(b:Brand)
  RETURN 'brand' AS kind, b.name AS name, interest AS part
UNION
  MATCH (h)-[:HAS_ATTRIBUTE]->(v:AttributeValue)
  RETURN 'attribute' AS kind, v.attribute + ' = ' + v.value + coalesce(' ' + v.unit, '') AS name, interest AS part
UNION
  MATCH (h)-[f:PRAISED_FOR]->(a:Aspect)
  LET own = EXISTS {
    MATCH (e:Evidence {fact: f.fact})-[:FROM]->(:Document)<-[:HAS_TEXT]-(:Review)<-[:WROTE]-(u)
  }
  RETURN 'aspect' AS kind, a.name AS name, CASE WHEN own THEN 2.0 ELSE 1.0 END * interest AS part
}
WITH kind, name, sum(part) AS part, count(DISTINCT h) AS products, max(at) AS latest
ORDER BY part DESC, name
WITH kind, sum(part) AS total, collect({name: name, part: part, products: products, latest: latest}) AS found
UNWIND found[..$per_kind] AS one
RETURN kind, one.name AS name, one.part / total AS strength, one.products AS products, one.latest AS latest
ORDER BY CASE kind WHEN 'category' THEN 0 WHEN 'brand' THEN 1 WHEN 'attribute' THEN 2 ELSE 3 END, strength DESC, name
