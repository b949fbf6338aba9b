// title: A shelf without history, served from what others taught
// description: Products of a category in which nobody, or not this user, has a history, ranked by what was learned
//   elsewhere. What transfers: how near a product's text is to the middle of the texts that the user took (the cosine);
//   its brand, attribute values and praised aspects, each as its share of the user's interest of that kind; and the
//   cosine of the live model's vectors, with the model's weight. Without a user, or without history, brands and values
//   are worth what they are in the rest of the shop, and add up: the mean popularity of at most 100 products that have
//   them elsewhere, of the first 1,000 that have them at all. Popularity within the category is not used. The user's
//   own history within it is not used either, nor anything that the user regrets (returned, disliked, hid, or rated
//   below 3), and that is never shown, nor what the user bought or rated unless it is consumed, nor what is inactive or
//   out of stock. Of a larger category the 2,000 newest are looked at.
// param category: STRING -- path of the category, its sub-categories included
// param user: STRING = null -- the user's id, if known
// param limit: INTEGER = 10 -- most rows to return
// example: {"category": "Accessories", "user": "ben", "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, reasons LIST<MAP>

CYPHER 25
OPTIONAL MATCH (u:User {id: $user})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
CALL () {
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(shelf:Category)
  WITH DISTINCT shelf
  RETURN collect(shelf) AS shelves
}
CALL (shelves) {
  UNWIND shelves AS shelf
  MATCH (shelf)<-[:IN_CATEGORY]-(p:Product)
  WHERE p.active AND coalesce(p.stock, 1) > 0
  WITH DISTINCT p
  ORDER BY coalesce(p.released_at.epochSeconds, 0) DESC, p.sku
  LIMIT 2000
  RETURN collect(p) AS products
}
// The 50 strongest interests outside the category.
CALL (u, live, shelves) {
  MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
  WHERE coalesce(did.strength, 1.0) > 0.0
    AND NOT EXISTS { MATCH (h)-[:IN_CATEGORY]->(c) WHERE c IN shelves }
    AND NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(h) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
  LET days = coalesce((u.last_at.epochSeconds - did.at.epochSeconds) / 86400.0, 0.0)
  LET decay = 0.5 ^ (CASE WHEN days > 0.0 THEN days ELSE 0.0 END / coalesce(live.half_life_days, 365.0))
  WITH h, sum(coalesce(did.strength, 1.0) * decay) AS interest
  ORDER BY interest DESC, h.sku
  LIMIT 50
  RETURN collect({h: h, interest: interest}) AS history
}
// The middle of their texts, each with its interest.
CALL (history) {
  LET read = [x IN history WHERE x.h.text_embedding IS NOT NULL | {v: x.h.text_embedding, w: x.interest}]
  RETURN CASE
           WHEN size(read) > 0 THEN [i IN range(0, size(read[0].v) - 1) | reduce(s = 0.0, x IN read | s + x.w * x.v[i])]
         END AS middle
}
// What the user likes elsewhere: shares of the interest in brands, in values and in aspects.
CALL (history) {
  UNWIND history AS x
  WITH x.h AS h, x.interest AS interest
  MATCH (h)-[r:MADE_BY|HAS_ATTRIBUTE|PRAISED_FOR]->(t)
  WITH DISTINCT h, interest, type(r) AS term, t
  WITH term, t, sum(interest) AS interest
  WITH term, collect({t: t, interest: interest}) AS found, sum(interest) AS total
  UNWIND found AS one
  RETURN collect({term: term, t: one.t, part: CASE WHEN total > 0.0 THEN one.interest / total ELSE 0.0 END}) AS tastes
}
// What everybody likes elsewhere, where there is no history to go by. Outside of a category that holds the whole shop
// there is nothing, and to look at what has each of its brands and values would take longer than all the rest.
CALL (history, shelves) {
  WHEN size(history) > 0 THEN {
    RETURN false AS elsewhere
  }
  WHEN EXISTS {
    MATCH (c:Category)
    WHERE c.path >= '' AND NOT c IN shelves AND EXISTS { (c)<-[:IN_CATEGORY]-() }
  } THEN {
    RETURN true AS elsewhere
  }
  ELSE {
    UNWIND shelves AS shelf
    MATCH (shelf)<-[:IN_CATEGORY]-(p:Product)
    WITH count(DISTINCT p) AS here
    RETURN here < COUNT { (:Product) } AS elsewhere
  }
}
CALL (products, elsewhere, shelves) {
  WHEN elsewhere THEN {
    UNWIND products AS p
    MATCH (p)-[r:MADE_BY|HAS_ATTRIBUTE]->(t)
    WITH DISTINCT t, type(r) AS term
    CALL (t, shelves) {
      MATCH (t)<-[:MADE_BY|HAS_ATTRIBUTE]-(other:Product)
      WITH DISTINCT other, shelves
      LIMIT 1000
      FILTER other.popularity IS NOT NULL
      FILTER NOT EXISTS { MATCH (other)-[:IN_CATEGORY]->(c) WHERE c IN shelves }
      WITH other
      LIMIT 100
      RETURN avg(other.popularity) AS part
    }
    FILTER part > 0.0
    RETURN collect({term: term, t: t, part: part}) AS common
  }
  ELSE {
    RETURN [] AS common
  }
}
CALL (products, tastes, common, middle, u, live) {
  // Tastes and the shelf's products meet in what they name; nothing is read of the others that share it in the shop.
  CALL (products, tastes, common) {
    UNWIND tastes + common AS one
    RETURN one.term AS term, one.t AS t, one.part AS part, null AS p
  UNION ALL
    UNWIND products AS p
    MATCH (p)-[r:MADE_BY|HAS_ATTRIBUTE|PRAISED_FOR]->(t)
    RETURN DISTINCT type(r) AS term, t, null AS part, p
  }
  WITH term, t, max(part) AS part, collect(p) AS sharing
  FILTER part IS NOT NULL
  UNWIND sharing AS p
  RETURN p, term, part, coalesce(t.name, t.attribute + ' = ' + t.value) AS because
UNION ALL
  // All of the shelf is shown, in the end also what shares nothing.
  UNWIND products AS p
  RETURN p, 'IN_CATEGORY' AS term, 0.0 AS part, null AS because
UNION ALL
  UNWIND products AS p
  RETURN p, 'TEXT' AS term, 2.0 * vector.similarity.cosine(middle, p.text_embedding) - 1.0 AS part, null AS because
UNION ALL
  // Read once: for each product anew it would take as long as the product's own.
  LET own = CASE live.slot WHEN 'blue' THEN u.embedding_blue WHEN 'green' THEN u.embedding_green END
  UNWIND products AS p
  LET cosine = CASE live.slot
                 WHEN 'blue' THEN 2.0 * vector.similarity.cosine(own, p.embedding_blue) - 1.0
                 WHEN 'green' THEN 2.0 * vector.similarity.cosine(own, p.embedding_green) - 1.0
               END
  RETURN p, 'EMBEDDING' AS term, live.w_embedding * cosine AS part, null AS because
}
FILTER part IS NOT NULL
WITH u, p, term, part, because
ORDER BY part DESC, term, because
WITH u, p, sum(part) AS score, collect({term: term, part: part, because: because}) AS reasons
FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(p) }
RETURN p.sku AS sku, p.title AS title, score, [r IN reasons WHERE r.part > 0.0][..3] AS reasons
ORDER BY score DESC, sku
LIMIT $limit
