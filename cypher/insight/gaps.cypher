// title: What is wanted and not offered
// description: Two kinds of gap. Together: two values of different attributes that the same people meet in the products
//   of a shelf, though seldom in one product; expected is how many would meet both by chance, p how likely so many are
//   (normal approximation of a Poisson count with continuity correction, times the number of pairs looked at). Search:
//   what people searched for and no product on sale has all the words of, of which its sku is one and its maker's name
//   may be some. Demand is people, offer is products on sale: active, and in stock where the stock is known, so what is
//   sold out is wanted and not offered. Of a search the 10,000 products that fit it best are looked at. Looked at are
//   the 40 values that most people meet among 5,000 products of the shelf, and $searches queries in the order of their
//   text after $after.
// param category: STRING = null -- path of a category, its sub-categories included; null for searches alone
// param least: INTEGER = 2 -- fewest people
// param after: STRING = '' -- text of a search after which to go on
// param searches: INTEGER = 1000 -- most different searches that are looked at
// param limit: INTEGER = 50 -- most rows to return
// example: {"category": "Accessories", "least": 1}
// returns: kind STRING, what STRING, people INTEGER, expected FLOAT, p FLOAT, offered INTEGER, latest ZONED DATETIME

CYPHER 25
CALL () {
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
  WITH DISTINCT p
  ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
  LIMIT 5000
  WITH collect(p) AS products
  CALL (products) {
    UNWIND products AS p
    MATCH (p)-[:HAS_ATTRIBUTE]->(v:AttributeValue)
    WITH DISTINCT v, p
    // How many met it, from the store's own counts: exact enough to choose by, and free.
    WITH v, collect(p) AS having,
         sum(COUNT { (p)<-[:BOUGHT]-() } + COUNT { (p)<-[:VIEWED]-() } + COUNT { (p)<-[:RATED]-() }) AS met
    FILTER met > 0
    ORDER BY met DESC, v.key
    LIMIT 40
    ORDER BY v.key
    RETURN collect({value: v, having: having}) AS values
  }
  // Who met which of the values: a short list a person, and how many met each.
  CALL (values) {
    UNWIND range(0, size(values) - 1) AS place
    UNWIND values[place].having AS p
    MATCH (p)<-[did:BOUGHT|RATED|CARTED|CLICKED|VIEWED]-(u:User)
    WHERE coalesce(did.strength, 1.0) > 0.0
    WITH DISTINCT place, u
    WITH u, collect(place) AS met
    RETURN collect(met) AS people
  }
  CALL (people) {
    UNWIND people AS met
    UNWIND met AS place
    WITH place, count(*) AS n
    ORDER BY place
    RETURN collect({place: place, n: n}) AS counts
  }
  LET single = [i IN range(0, size(values) - 1) | coalesce([x IN counts WHERE x.place = i | x.n][0], 0)]
  CALL (values, people) {
    UNWIND people AS met
    UNWIND met AS a
    UNWIND met AS b
    WITH a, b, values
    WHERE a < b AND values[a].value.attribute <> values[b].value.attribute
    RETURN a, b, count(*) AS both
  }
  LET expected = 1.0 * single[a] * single[b] / size(people),
      offered = size([x IN values[a].having WHERE x.active AND coalesce(x.stock, 1) > 0 AND x IN values[b].having])
  WITH collect({
         a: values[a].value, b: values[b].value, people: both, offered: offered, expected: expected
       }) AS pairs
  UNWIND pairs AS pair
  FILTER pair.people >= $least
  // More than chance would bring together, and fewer products than people: else it is no gap.
  FILTER pair.people > pair.expected AND pair.offered < pair.people
  LET z = (pair.people - 0.5 - pair.expected) / sqrt(pair.expected)
  // The upper tail of the normal distribution (Abramowitz & Stegun 26.2.17, off by less than 7.5e-8).
  LET t = 1.0 / (1.0 + 0.2316419 * abs(z))
  LET tail = 0.3989422804014327 * exp(-z * z / 2.0)
             * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
  LET chance = size(pairs) * CASE WHEN z >= 0.0 THEN tail ELSE 1.0 - tail END
  RETURN 'together' AS kind,
         pair.a.attribute + ' = ' + pair.a.value + coalesce(' ' + pair.a.unit, '') + ' and ' +
         pair.b.attribute + ' = ' + pair.b.value + coalesce(' ' + pair.b.unit, '') AS what,
         pair.people AS people, pair.expected AS expected, CASE WHEN chance > 1.0 THEN 1.0 ELSE chance END AS p,
         pair.offered AS offered, null AS latest
UNION ALL
  MATCH (q:Query)
  WHERE q.text > $after
  WITH q
  ORDER BY q.text
  LIMIT $searches
  CALL (q) {
    MATCH (q)<-[asked:SEARCHED]-(:User)
    RETURN count(*) AS people, max(asked.at) AS latest
  }
  WITH q, people, latest
  FILTER people >= $least
  // What somebody typed is no query language: all that Lucene might take for an operator becomes a space. What stands
  // within a word ("men's", "3.5") is left to the index, and what that takes apart, as it does Chinese, must stand
  // together: each word is in quotation marks. Words that the index leaves out say nothing of what is wanted.
  LET plain = reduce(s = toLower(q.text), c IN split('+ - & | ! ( ) { } [ ] ^ " ~ * ? : \\ / < > = ;', ' ') |
                     replace(s, c, ' '))
  LET words = [
    w IN [x IN split(plain, ' ') | btrim(x, '.,\'')]
    WHERE w <> '' AND NOT w IN [
      'a', 'an', 'and', 'are', 'as', 'at', 'be', 'but', 'by', 'for', 'if', 'in', 'into', 'is', 'it', 'no', 'not', 'of',
      'on', 'or', 'such', 'that', 'the', 'their', 'then', 'there', 'these', 'they', 'this', 'to', 'was', 'will', 'with'
    ]
  ]
  FILTER size(words) > 0
  LET all = reduce(s = '', w IN words | s + ' +"' + w + '"')
  CALL (all) {
    MATCH (p:Product)
      SEARCH p IN (FULLTEXT INDEX product_fulltext FOR all LIMIT 10000)
    FILTER p.active AND coalesce(p.stock, 1) > 0
    // One is enough to know.
    WITH p
    LIMIT 1
    RETURN count(p) AS so_called
  }
  FILTER so_called = 0
  // The sku is in the other index, and a maker need not stand in the title.
  CALL (all, words) {
    MATCH (p:Product)
      SEARCH p IN (FULLTEXT INDEX product_words FOR all LIMIT 10000)
    RETURN p
  UNION ALL
    UNWIND range(0, size(words) - 1) AS i
    UNWIND range(i, i + 2) AS j
    WITH words, i, j
    WHERE j < size(words)
    LET name = reduce(s = words[i], w IN words[i + 1..j + 1] | s + ' ' + w)
    MATCH (b:Brand {key: replace(replace(name, '\'', ''), '.', '')})
    LET rest = reduce(s = '', w IN words[..i] + words[j + 1..] | s + ' +"' + w + '"')
    CALL (b, rest) {
      WHEN rest = '' THEN {
        MATCH (b)<-[:MADE_BY]-(p:Product)
        RETURN p
      }
      ELSE {
        MATCH (p:Product)
          SEARCH p IN (FULLTEXT INDEX product_fulltext FOR rest LIMIT 10000)
        FILTER EXISTS { (p)-[:MADE_BY]->(b) }
        RETURN p
      }
    }
    RETURN p
  NEXT
    FILTER p.active AND coalesce(p.stock, 1) > 0
    LIMIT 1
    RETURN count(p) AS offered
  }
  FILTER offered = 0
  RETURN 'search' AS kind, q.text AS what, people, null AS expected, null AS p, offered, latest
}
RETURN kind, what, people, expected, p, offered, latest
ORDER BY people - offered DESC, kind, what
LIMIT $limit
