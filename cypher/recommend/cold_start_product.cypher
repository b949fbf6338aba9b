// title: Who would want a new product
// description: Users for a product that nobody has met yet: those who took what is like it. Alike are the products
//   nearest by text, those to which it is related, and the most popular of its brand and of its deepest shelf. A user
//   gets, for each of them that was taken, its likeness times the interest, divided by the logarithm of how many took
//   it: what everyone takes tells little of anyone (Adamic and Adar 2003). Users who bought or rated the product itself
//   (unless it is consumed) or regret it (returned, disliked, hid, or rated below 3) are left out, and a product that
//   is inactive or out of stock has no rows. A reason is a product that the user took and does not regret, why it
//   counts as alike, and what it adds.
// param sku: STRING -- the product's sku
// param exclude: LIST<STRING> = [] -- ids of users who must not be addressed
// param limit: INTEGER = 100 -- most rows to return
// example: {"sku": "S2", "limit": 3}
// returns: user STRING, score FLOAT, reasons LIST<MAP>, latest ZONED DATETIME

CYPHER 25
MATCH (this:Product {sku: $sku})
WHERE this.active AND coalesce(this.stock, 1) > 0
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
CALL (this) {
  CALL (this) {
    WHEN this.text_embedding IS NOT NULL THEN {
      MATCH (h:Product)
        SEARCH h IN (VECTOR INDEX product_text FOR this.text_embedding LIMIT 50)
        SCORE AS similarity
      RETURN h, similarity
    }
  }
  // The index gives (1 + cosine) / 2.
  RETURN h, 'TEXT' AS term, 2.0 * similarity - 1.0 AS likeness
UNION ALL
  MATCH (this)-[r:VARIANT_OF|SUBSTITUTE_FOR|ACCESSORY_OF|COMPATIBLE_WITH|BOUGHT_WITH|VIEWED_WITH]-(h:Product)
  WITH DISTINCT h, type(r) AS term
  RETURN h, term, CASE WHEN term IN ['VARIANT_OF', 'SUBSTITUTE_FOR'] THEN 1.0 ELSE 0.5 END AS likeness
UNION ALL
  MATCH (this)-[:MADE_BY]->(:Brand)<-[:MADE_BY]-(h:Product)
  WITH DISTINCT h
  ORDER BY coalesce(h.popularity, 0.0) DESC, h.sku
  LIMIT 50
  RETURN h, 'MADE_BY' AS term, 0.2 AS likeness
UNION ALL
  MATCH (this)-[:IN_CATEGORY]->(shelf:Category)
  WITH shelf
  ORDER BY size(split(shelf.path, ' > ')) DESC, shelf.path
  LIMIT 1
  MATCH (shelf)<-[:IN_CATEGORY]-(h:Product)
  WITH DISTINCT h
  ORDER BY coalesce(h.popularity, 0.0) DESC, h.sku
  LIMIT 50
  RETURN h, 'IN_CATEGORY' AS term, 0.2 AS likeness
}
FILTER h <> this AND likeness > 0.0
WITH this, live, h, term, likeness
ORDER BY likeness DESC, term
WITH this, live, h, sum(likeness) AS likeness, collect(term)[0] AS term
ORDER BY likeness DESC, h.sku
LIMIT 100
// Of a product that very many took, a thousand takers: whichever they are, they are no rarer than the rest.
CALL (this, live, h, likeness) {
  LET takers = COUNT { (h)<-[:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-() }
  MATCH (u:User)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h)
  WITH u, did, live, likeness, takers
  LIMIT 1000
  FILTER coalesce(did.strength, 1.0) > 0.0
  FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(h) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
  LET days = coalesce((u.last_at.epochSeconds - did.at.epochSeconds) / 86400.0, 0.0)
  LET decay = 0.5 ^ (CASE WHEN days > 0.0 THEN days ELSE 0.0 END / coalesce(live.half_life_days, 365.0))
  WITH u, likeness, takers, sum(coalesce(did.strength, 1.0) * decay) AS interest
  RETURN u, likeness * interest / log(2 + takers) AS part
}
WITH this, u, h, term, part
ORDER BY part DESC, h.sku
WITH this, u, sum(part) AS score, collect({term: term, part: part, because: h.title})[..3] AS reasons
FILTER NOT u.id IN $exclude
FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(this) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
FILTER coalesce(this.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(this) }
RETURN u.id AS user, score, reasons, u.last_at AS latest
ORDER BY score DESC, user
LIMIT $limit
