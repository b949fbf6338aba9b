// title: Why this product is recommended to this user
// description: Paths from the user to the product over explicit relations, one a row, the strongest first: something
//   the user did, then a relation between that product and this one, or something that both share, or others who took
//   both. The weight is the interest shown, halved for every 90 days before the user's last event, times the strength
//   of the link: the confidence of what was read, the rarity of what is shared, the cosine of who bought both, and for
//   a learned relation its share of the strongest. Evidence counts the places in texts behind the path; product/why
//   shows them. No row: no explicit path is known.
// param user: STRING -- the user's id
// param sku: STRING -- the product's sku
// param limit: INTEGER = 10 -- most paths to return
// example: {"user": "ben", "sku": "S1"}
// returns: kind STRING, path LIST<STRING>, weight FLOAT, evidence INTEGER, facts LIST<STRING>

CYPHER 25
MATCH (u:User {id: $user})
MATCH (t:Product {sku: $sku})
// The user's 30 strongest interests, one a product. What was sent back, disliked or rated low is no reason for
// anything.
CALL (u) {
  MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
  WHERE coalesce(did.rating, 5.0) >= 3.0
  WITH h, did,
       did.strength * 0.5 ^ (coalesce(duration.inSeconds(did.at, u.last_at).seconds, 0) / (90 * 86400.0)) AS interest
  ORDER BY interest DESC, did.at DESC, h.sku
  LIMIT 200
  WITH h, collect(type(did))[0] AS verb, max(interest) AS interest
  WHERE NOT EXISTS { (u)-[:DISLIKED|HIDDEN|RETURNED]->(h) }
  RETURN h, verb, interest
  ORDER BY interest DESC, h.sku
  LIMIT 30
}
LET did = u.id + ' ' + verb + ' ' + h.title
// Both ends are bound from here on, so that no branch ever fans out from a popular node.
CALL (u, t, h, verb, interest, did) {
  // The product itself.
  WITH *
  WHERE h = t
  RETURN verb AS kind, [did] AS path, interest AS weight, [] AS facts
UNION ALL
  // One names the other. A bought-with or viewed-with of a feed counts less than what it is made for.
  WITH *
  WHERE h <> t
  MATCH (h)-[r:ACCESSORY_OF|COMPATIBLE_WITH|BOUGHT_WITH|VARIANT_OF|SUBSTITUTE_FOR|VIEWED_WITH]-(t)
  LET strength = CASE type(r)
                   WHEN 'ACCESSORY_OF' THEN 1.0
                   WHEN 'COMPATIBLE_WITH' THEN 1.0
                   WHEN 'BOUGHT_WITH' THEN 0.8
                   ELSE 0.5
                 END
  RETURN type(r) AS kind,
         [did, startNode(r).title + ' ' + type(r) + ' ' + endNode(r).title] AS path,
         interest * strength * coalesce(r.confidence, 1.0) AS weight,
         [r.fact] AS facts
UNION ALL
  // One is made for the other's brand or category.
  WITH *
  WHERE h <> t
  MATCH (t)-[r:ACCESSORY_OF|COMPATIBLE_WITH]->(x:Brand|Category)
  MATCH (h)-[m:MADE_BY|IN_CATEGORY]->(x)
  RETURN type(r) AS kind,
         [did, h.title + ' ' + type(m) + ' ' + x.name, t.title + ' ' + type(r) + ' ' + x.name] AS path,
         interest * 0.8 * coalesce(r.confidence, 1.0) / log(2 + COUNT { (x)<-[:MADE_BY|IN_CATEGORY]-() }) AS weight,
         [r.fact, m.fact] AS facts
UNION ALL
  // They share a brand, a category, a value or a praised aspect: the rarer, the more it says.
  WITH *
  WHERE h <> t
  MATCH (t)-[r:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|PRAISED_FOR]->(x)
  MATCH (h)-[m:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|PRAISED_FOR]->(x)
  WHERE type(m) = type(r)
  LET name = CASE WHEN x:AttributeValue THEN x.attribute + ' = ' + x.value ELSE x.name END
  RETURN type(r) AS kind,
         [did, h.title + ' ' + type(m) + ' ' + name, t.title + ' ' + type(r) + ' ' + name] AS path,
         interest * 0.5 * coalesce(m.confidence, 1.0) * coalesce(r.confidence, 1.0)
           / log(2 + COUNT { (x)<-[:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|PRAISED_FOR]-() }) AS weight,
         [r.fact, m.fact] AS facts
UNION ALL
  // Others took both. Counted from the less popular of the two, among 500 of its takers at most.
  WITH *
  WHERE h <> t
  LET ofH = COUNT { (h)<-[:BOUGHT|RATED]-() },
      ofT = COUNT { (t)<-[:BOUGHT|RATED]-() }
  LET rare = CASE WHEN ofH <= ofT THEN h ELSE t END,
      other = CASE WHEN ofH <= ofT THEN t ELSE h END
  CALL (u, rare, other) {
    MATCH (rare)<-[a:BOUGHT|RATED]-(o:User)
    WHERE o <> u AND coalesce(a.rating, 5.0) >= 3.0
    WITH DISTINCT o, other
    LIMIT 500
    MATCH (o)-[b:BOUGHT|RATED]->(other)
    WHERE coalesce(b.rating, 5.0) >= 3.0
    RETURN count(DISTINCT o) AS takers
  }
  FILTER takers > 0
  LET people = toString(takers) + CASE takers WHEN 1 THEN ' other user' ELSE ' other users' END
  RETURN 'TAKEN_BY_BOTH' AS kind,
         [did, people + ' took ' + h.title, people + ' took ' + t.title] AS path,
         interest * takers / sqrt(1.0 * ofH * ofT) AS weight,
         [] AS facts
UNION ALL
  // Learned, by the model that is live: as a share of the strongest of the two, whatever the model's unit. It tells a
  // person less than any relation that somebody stated.
  WITH *
  WHERE h <> t
  CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
  MATCH (m:ModelVersion {id: version})
  MATCH (h)-[r:SIMILAR_TO {model: m.id}]-(t)
  CALL (r, m) {
    LET from = startNode(r)
    MATCH (from)-[other:SIMILAR_TO {model: m.id}]->()
    RETURN max(other.weight) AS strongest
  }
  RETURN 'SIMILAR_TO' AS kind,
         [did, h.title + ' SIMILAR_TO ' + t.title] AS path,
         interest * 0.3 * CASE WHEN strongest > 0.0 THEN r.weight / strongest ELSE 0.0 END AS weight,
         [] AS facts
}
// Two sources that say the same are one path, and their evidence adds up.
UNWIND CASE facts WHEN [] THEN [null] ELSE facts END AS fact
WITH kind, path, max(weight) AS weight, collect(DISTINCT fact) AS facts
ORDER BY weight DESC, path
LIMIT $limit
RETURN kind, path, weight, COUNT { MATCH (e:Evidence) WHERE e.fact IN facts } AS evidence, facts
ORDER BY weight DESC, path
