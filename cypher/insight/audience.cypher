// title: Who would want a product or something of a shelf
// description: Users most likely to want a product, or what sells most on a shelf (its sub-categories included), for a
//   campaign. The learned and the explicit relations of the live model are followed from the products back to those who
//   met what leads to them, with their interest, and the cosine of user and product is added. As in recommend/for_user,
//   interest is divided by the root of all that the user shows, so that those who do most do not lead every list;
//   recency and popularity, which for_user adds, do not count. Of a shelf the product with the highest score counts.
//   Left out are those who bought or rated it (unless it is consumed), those who regret it, and the users of $exclude.
//   A reason is the product because of which somebody counts most, of those not regretted. What is inactive or out of
//   stock is for nobody.
// param sku: STRING = null -- a product's sku
// param category: STRING = null -- path of a category
// param exclude: LIST<STRING> = [] -- ids of users who must not be addressed
// param products: INTEGER in 1..100 = 20 -- how many products of a category stand for it, the most popular
// param limit: INTEGER = 100 -- most rows to return
// either: sku, category
// example: {"sku": "S1", "limit": 3}
// returns: user STRING, score FLOAT, sku STRING, because STRING, latest ZONED DATETIME

CYPHER 25
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
CALL () {
  MATCH (this:Product {sku: $sku})
  WHERE this.active AND coalesce(this.stock, 1) > 0
  RETURN this
UNION
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(this:Product)
  WITH DISTINCT this
  FILTER this.active AND coalesce(this.stock, 1) > 0
  ORDER BY coalesce(this.popularity, 0.0) DESC, this.sku
  LIMIT $products
  RETURN this
}
CALL (this, live) {
  CALL (this, live) {
    MATCH (this)<-[r:SIMILAR_TO {model: live.id}]-(h:Product)
    RETURN h, live.w_similar * r.weight AS weight
  UNION ALL
    MATCH (this)-[r:BOUGHT_WITH|VIEWED_WITH|ACCESSORY_OF|COMPATIBLE_WITH|SUBSTITUTE_FOR|VARIANT_OF]-(h:Product)
    WITH DISTINCT live, h, type(r) AS term
    // While no model is live, every stated relation counts alike.
    RETURN h, coalesce(CASE term
                         WHEN 'BOUGHT_WITH' THEN live.w_bought_with
                         WHEN 'VIEWED_WITH' THEN live.w_viewed_with
                         WHEN 'ACCESSORY_OF' THEN live.w_accessory_of
                         WHEN 'COMPATIBLE_WITH' THEN live.w_compatible_with
                         WHEN 'SUBSTITUTE_FOR' THEN live.w_substitute_for
                         ELSE live.w_variant_of
                       END, 1.0) AS weight
  UNION ALL
    // Those who looked at it, or put it into the cart, and went away.
    RETURN this AS h, 1.0 AS weight
  }
  WITH h, sum(weight) AS weight
  FILTER weight > 0.0
  ORDER BY weight DESC, h.sku
  LIMIT 200
  RETURN h, weight
}
MATCH (u:User)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h)
WHERE coalesce(did.strength, 1.0) > 0.0
LET days = coalesce((u.last_at.epochSeconds - did.at.epochSeconds) / 86400.0, 0.0)
LET decay = 0.5 ^ (CASE WHEN days > 0.0 THEN days ELSE 0.0 END / coalesce(live.half_life_days, 365.0))
WITH this, live, u, h, weight, sum(coalesce(did.strength, 1.0) * decay) AS interest
WITH this, live, u, h, weight * interest AS part
ORDER BY part DESC, h.sku
WITH this, live, u, sum(part) AS parts, collect(h) AS through
FILTER NOT u.id IN $exclude
FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(this) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
FILTER coalesce(this.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(this) }
LET cosine = CASE live.slot
               WHEN 'blue' THEN 2.0 * vector.similarity.cosine(u.embedding_blue, this.embedding_blue) - 1.0
               WHEN 'green' THEN 2.0 * vector.similarity.cosine(u.embedding_green, this.embedding_green) - 1.0
             END
WITH live, u, collect({
       sku: this.sku, parts: parts, near: coalesce(live.w_embedding * cosine, 0.0), through: through
     }) AS found
// All of a user's interest, of the 200 products that recommend/for_user reads.
CALL (u, live) {
  MATCH (u)-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]->(h:Product)
  WHERE coalesce(did.strength, 1.0) > 0.0
  LET days = coalesce((u.last_at.epochSeconds - did.at.epochSeconds) / 86400.0, 0.0)
  LET decay = 0.5 ^ (CASE WHEN days > 0.0 THEN days ELSE 0.0 END / coalesce(live.half_life_days, 365.0))
  WITH h, sum(coalesce(did.strength, 1.0) * decay) AS interest
  ORDER BY interest DESC, h.sku
  LIMIT 200
  RETURN sum(interest) AS total
}
CALL (found, total) {
  UNWIND found AS x
  LET score = CASE WHEN total > 0.0 THEN x.parts / sqrt(total) ELSE 0.0 END + x.near
  WITH x, score
  ORDER BY score DESC, x.sku
  LIMIT 1
  RETURN {sku: x.sku, score: score, through: x.through} AS best
}
WITH u, best
ORDER BY best.score DESC, u.id
LIMIT $limit
// What somebody regrets is not named.
CALL (u, best) {
  UNWIND range(0, size(best.through) - 1) AS place
  LET h = best.through[place]
  FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(h) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
  WITH h, place
  ORDER BY place
  LIMIT 1
  RETURN collect(h.title)[0] AS because
}
RETURN u.id AS user, best.score AS score, best.sku AS sku, because, u.last_at AS latest
ORDER BY score DESC, user
