// title: A first page for somebody new
// description: Products for a user of whom nothing is known but stated interests, given here or stored with the user,
//   or not even those. An interest names a shelf by its path, or a brand, however it is spelt, or else is looked for in
//   titles and descriptions; the best hit of each counts 1, others their share of it, and popularity adds a tenth of
//   itself. Without interests, or where they find nothing to show, it is the most popular, two of each shelf before the
//   third of any, so that the first page shows the breadth of the shop. Nothing that the user bought or rated (unless
//   it is consumed) or regrets (returned, disliked, hid, or rated below 3), nothing inactive or out of stock.
// param interests: LIST<STRING> = null -- interests in the user's words; null for those stored with the user
// param user: STRING = null -- the user's id, if there is one
// param limit: INTEGER = 10 -- most rows to return
// example: {"interests": ["leather strap", "Instruments > Guitars"], "limit": 3}
// returns: sku STRING, title STRING, score FLOAT, reasons LIST<MAP>

CYPHER 25
OPTIONAL MATCH (u:User {id: $user})
CALL (u) {
  UNWIND coalesce($interests, u.interests, []) AS said
  WITH DISTINCT trim(said) AS said
  FILTER said <> ''
  WITH said
  LIMIT 20
  // The key of a brand of that name, as kg/normalise.py makes it, but for legal forms: without trade marks, accents,
  // apostrophes and full stops, and with one space for other marks.
  LET plain = normalize(reduce(text = said, mark IN ['®', '™', '©', '℠'] | replace(text, mark, ' ')), NFKD)
  LET bare = reduce(
    text = toLower(plain),
    mark IN ['\u0300', '\u0301', '\u0302', '\u0303', '\u0304', '\u0306', '\u0307', '\u0308', '\u030A', '\u030B',
             '\u030C', '\u0327', '\u0328', '\'', '’', '‘', '`', '.'] |
    replace(text, mark, '')
  )
  LET named = [word IN split(bare, [' ', '-', '/', ',', ':', ';', '!', '(', ')']) WHERE word <> '']
  LET key = trim(reduce(text = '', word IN named | text + ' ' + word))
  CALL (said, key) {
    // A shelf or a brand by name, and the most popular of it.
    WHEN EXISTS { (:Category {path: said}) } THEN {
      MATCH (c:Category {path: said})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
      WHERE p.active AND coalesce(p.stock, 1) > 0
      WITH DISTINCT p
      ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
      LIMIT 200
      RETURN p, 1.0 AS hit
    }
    WHEN EXISTS { (:Brand {key: key}) } THEN {
      MATCH (b:Brand {key: key})<-[:MADE_BY]-(p:Product)
      WHERE p.active AND coalesce(p.stock, 1) > 0
      WITH DISTINCT p
      ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
      LIMIT 200
      RETURN p, 1.0 AS hit
    }
    ELSE {
      // Words. What Lucene takes for operators is escaped, the backslash first; AND, OR and NOT are operators only in
      // capitals.
      LET words = reduce(
        text = toLower(said),
        mark IN ['\\', '+', '-', '&', '|', '!', '(', ')', '{', '}', '[', ']', '^', '"', '~', '*', '?', ':', '/'] |
        replace(text, mark, '\\' + mark)
      )
      CALL (words) {
        CALL db.index.fulltext.queryNodes('product_fulltext', words, {limit: 200}) YIELD node AS p, score
        FILTER p.active AND coalesce(p.stock, 1) > 0
        RETURN collect({p: p, score: score}) AS near
      }
      CALL (words, near) {
        WHEN size(near) >= 20 THEN {
          RETURN near AS found
        }
        // Hardly anything of that is on sale: the index is read on.
        ELSE {
          CALL db.index.fulltext.queryNodes('product_fulltext', words, {limit: 10000}) YIELD node AS p, score
          FILTER p.active AND coalesce(p.stock, 1) > 0
          WITH p, score
          ORDER BY score DESC, p.sku
          LIMIT 200
          RETURN collect({p: p, score: score}) AS found
        }
      }
      UNWIND found AS one
      RETURN one.p AS p, one.score / found[0].score AS hit
    }
  }
  FILTER p.active AND coalesce(p.stock, 1) > 0
  FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
  FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(p) }
  WITH p, sum(hit) AS hits, collect({term: 'INTEREST', part: hit, because: said}) AS because
  ORDER BY hits + 0.1 * coalesce(p.popularity, 0.0) DESC, p.sku
  LIMIT 1000
  RETURN collect({p: p, hits: hits, because: because}) AS wanted
}
CALL (u, wanted) {
  WHEN size(wanted) > 0 THEN {
    UNWIND wanted AS one
    RETURN one.p AS p, one.hits AS hits, one.because AS because, 0.1 AS weight, null AS shelf
  }
  ELSE {
    MATCH (p:Product)
    WHERE p.popularity >= 0.0 AND p.active AND coalesce(p.stock, 1) > 0
    WITH p
    ORDER BY p.popularity DESC
    LIMIT 2000 + $limit
    FILTER NOT EXISTS {
      MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p)
      WHERE type(no) <> 'RATED' OR no.rating < 3.0
    }
    FILTER coalesce(p.consumable, false) OR NOT EXISTS { (u)-[:BOUGHT|RATED]->(p) }
    LET shelf = COLLECT {
      MATCH (p)-[:IN_CATEGORY]->(c:Category)
      RETURN c.path AS path
      ORDER BY size(split(c.path, ' > ')) DESC, path
      LIMIT 1
    }[0]
    RETURN p, 0.0 AS hits, [] AS because, 1.0 AS weight, coalesce(shelf, 'sku ' + p.sku) AS shelf
  }
}
LET popular = weight * coalesce(p.popularity, 0.0)
LET score = hits + popular
LET by = CASE WHEN popular > 0.0 THEN [{term: 'POPULARITY', part: popular, because: null}] ELSE [] END
WITH p, score, shelf, because + by AS reasons
ORDER BY score DESC, p.sku
WITH shelf, collect({p: p, score: score, reasons: reasons}) AS found
UNWIND range(0, size(found) - 1) AS place
LET one = found[place]
// Two of each shelf, then the next two; what interests found has no shelf.
LET turn = CASE WHEN shelf IS NULL THEN 0 ELSE place / 2 END
RETURN one.p.sku AS sku, one.p.title AS title, one.score AS score, one.reasons AS reasons
ORDER BY turn, score DESC, sku
LIMIT $limit
