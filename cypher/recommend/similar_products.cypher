// title: Products like this one
// description: What stands beside a product: the nearest by the live model's vectors, by the text's vectors, by learned
//   and by explicit relations. The score adds the cosines of both vectors, the learned weight as a share of the
//   strongest, and the strength of each explicit relation, all of them wherever a product was found, so that it is the
//   same however many rows are asked for. While no model is live, text and explicit relations remain. Nothing inactive
//   or out of stock. With a user, nothing that this user bought or rated (unless it is consumed) or regrets (returned,
//   disliked, hid, or rated below 3). A reason is a term of the sum and what it adds.
// param sku: STRING -- the product's sku
// param user: STRING = null -- the user's id, if known
// param limit: INTEGER = 10 -- most rows to return
// example: {"sku": "S1", "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, reasons LIST<MAP>

CYPHER 25
MATCH (this:Product {sku: $sku})
// What the user has, or does not want; what is consumed is bought again.
CALL () {
  MATCH (:User {id: $user})-[did:BOUGHT|RATED|DISLIKED|RETURNED|HIDDEN]->(p:Product)
  WHERE NOT type(did) IN ['BOUGHT', 'RATED'] OR NOT coalesce(p.consumable, false) OR did.rating < 3.0
  RETURN collect(DISTINCT p) AS known
}
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
// The product's vectors, read once.
LET placed = CASE live.slot WHEN 'blue' THEN this.embedding_blue WHEN 'green' THEN this.embedding_green END,
    said = this.text_embedding
// The nearest by what is written. That index knows nothing of what is sold: where hardly anything of it is, it is read
// on.
CALL (said) {
  WHEN said IS NOT NULL THEN {
    MATCH (p:Product)
      SEARCH p IN (VECTOR INDEX product_text FOR said LIMIT $limit + CASE WHEN $user IS NULL THEN 50 ELSE 250 END)
    RETURN collect(p) AS alike
  }
  ELSE {
    RETURN [] AS alike
  }
}
LET on = size(alike) >= $limit + 50
         AND size([p IN alike WHERE p.active AND coalesce(p.stock, 1) > 0]) <= $limit
CALL (this, live, placed, said, alike, on, known) {
  CALL (this, live, placed, said, alike, on) {
    // Learned relations; the strongest of this product counts 1.
    MATCH (this)-[r:SIMILAR_TO {model: live.id}]->(p:Product)
    WITH collect({product: p, weight: r.weight}) AS found, max(r.weight) AS strongest
    UNWIND found AS one
    RETURN one.product AS p, 'SIMILAR_TO' AS term, one.weight / strongest AS part
  UNION ALL
    // Explicit relations; several sources of one relation count once, by the most confident.
    MATCH (this)-[r:VARIANT_OF|SUBSTITUTE_FOR|COMPATIBLE_WITH|ACCESSORY_OF|BOUGHT_WITH|VIEWED_WITH]-(p:Product)
    WHERE p <> this
    WITH p, type(r) AS term, max(coalesce(r.confidence, 1.0)) AS confidence
    LET strength = CASE term
                     WHEN 'VARIANT_OF' THEN 1.0
                     WHEN 'SUBSTITUTE_FOR' THEN 1.0
                     WHEN 'VIEWED_WITH' THEN 0.5
                     ELSE 0.25
                   END
    RETURN p, term, strength * confidence AS part
  UNION ALL
    // The nearest by the live model.
    CALL (live, placed) {
      WHEN live.slot = 'blue' AND placed IS NOT NULL THEN {
        MATCH (p:Product)
          SEARCH p IN (
            VECTOR INDEX product_embedding_blue FOR placed
            WHERE p.active = true
            LIMIT $limit + CASE WHEN $user IS NULL THEN 50 ELSE 250 END
          )
        RETURN p
      }
      WHEN live.slot = 'green' AND placed IS NOT NULL THEN {
        MATCH (p:Product)
          SEARCH p IN (
            VECTOR INDEX product_embedding_green FOR placed
            WHERE p.active = true
            LIMIT $limit + CASE WHEN $user IS NULL THEN 50 ELSE 250 END
          )
        RETURN p
      }
    }
    RETURN p, null AS term, 0.0 AS part
  UNION ALL
    UNWIND alike AS p
    RETURN p, null AS term, 0.0 AS part
  UNION ALL
    CALL (said, on) {
      WHEN on THEN {
        MATCH (p:Product)
          SEARCH p IN (VECTOR INDEX product_text FOR said LIMIT 5000)
        RETURN p
      }
    }
    FILTER p.active AND coalesce(p.stock, 1) > 0
    WITH p
    LIMIT 250 + $limit
    RETURN p, null AS term, 0.0 AS part
  }
  FILTER p <> this AND p.active AND coalesce(p.stock, 1) > 0
  FILTER NOT p IN known
  RETURN p, collect(CASE WHEN part > 0.0 THEN {term: term, part: part} END) AS found
}
// The functions give (1 + cosine) / 2.
LET near = 2.0 * vector.similarity.cosine(
      placed, CASE live.slot WHEN 'blue' THEN p.embedding_blue WHEN 'green' THEN p.embedding_green END
    ) - 1.0,
    text = 2.0 * vector.similarity.cosine(said, p.text_embedding) - 1.0
LET parts = [one IN found + [{term: 'EMBEDDING', part: near}, {term: 'TEXT', part: text}] WHERE one.part > 0.0]
FILTER size(parts) > 0
WITH p, parts, reduce(s = 0.0, one IN parts | s + one.part) AS score
ORDER BY score DESC, p.sku
LIMIT $limit
CALL (parts) {
  UNWIND parts AS reason
  WITH reason
  ORDER BY reason.part DESC, reason.term
  RETURN collect(reason) AS reasons
}
RETURN p.sku AS sku, p.title AS title, score, reasons
ORDER BY score DESC, sku
