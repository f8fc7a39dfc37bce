//! Why a node does not fit the layer around it.

/// What of a node's operands, widths and attributes, or of the layer's data, does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    // Operands, by count and place.
    /// Another number of operands than the op takes.
    #[error("wrong number of operands")]
    OperandCount,
    /// Not the one operand that groups are cut from.
    #[error("one operand is needed")]
    NotOneOperand,
    /// Neither one operand nor two of one width.
    #[error("wrong number of operands, or not of one width")]
    NotOneWidth,
    /// An operand that stands at the node or behind it.
    #[error("operand {0} is not an earlier node")]
    NotEarlier(u32),
    /// An operand that the node does not name.
    #[error("operand {0} is missing")]
    Missing(usize),

    // Shapes: features of operands and of the result.
    /// A result without features.
    #[error("no features")]
    NoFeatures,
    /// The result is not as wide as the operand of an elementwise op.
    #[error("another width than its operand")]
    OperandWidth,
    /// The node is not as wide as the tensor of its port.
    #[error("another width than its tensor")]
    TensorWidth,
    /// The tensor of a port is not as wide as the value that it holds.
    #[error("its value has {features} features, the tensor of the port {tensor}")]
    PortWidth {
        /// Features of the value.
        features: u32,
        /// Features of the tensor.
        tensor: u32,
    },
    /// Two operands that are combined feature by feature.
    #[error("operands of different widths")]
    OperandWidths,
    /// The same, with the result.
    #[error("operands and result of different widths")]
    Widths,
    /// Features that cannot be cut into groups.
    #[error("{width} features are not {groups} equal groups")]
    Groups {
        /// Features of the operand.
        width: usize,
        /// Groups.
        groups: u32,
    },
    /// A result that is not one feature for each group.
    #[error("not one feature for each group")]
    FeaturePerGroup,
    /// Groups of keys that do not add up to the result.
    #[error("widths do not match the groups")]
    KeyGroups,
    /// A causal group of another number of keys than tokens.
    #[error("a causal group has a key for each token")]
    CausalKeys,
    /// Query heads that do not share key heads equally, or heads without features.
    #[error("bad head geometry")]
    HeadGeometry,
    /// Operands or a result of other widths than the heads'.
    #[error("widths do not match the heads")]
    HeadWidths,
    /// A result that is not two features for each of the operand.
    #[error("not two features for each of its operand")]
    TwoEach,
    /// A result that is not `depth` features for each of the operand.
    #[error("not {0} features for each of its operand")]
    Depth(u32),
    /// A result that is not a feature for each bit of the operand, or no such number of bits.
    #[error("not {0} features for each of its operand, or not 1 to 62")]
    Bits(u32),
    /// Ids that do not share the result's features equally.
    #[error("not as many rows as the operand has ids")]
    RowPerId,
    /// Features that cannot be cut into positions.
    #[error("not one row for each position")]
    RowPerPosition,
    /// The same of an elementwise op.
    #[error("not equal stretches")]
    Stretches,
    /// Operands or a result that are not those of a product of matrices.
    #[error("operands or result are not {batch} times {rows} x {inner} x {cols}")]
    Product {
        /// Products.
        batch: u32,
        /// Rows of the first.
        rows: u32,
        /// Its columns, and rows of the second.
        inner: u32,
        /// Columns of the second.
        cols: u32,
    },
    /// A product of two activations with several tokens.
    #[error("products of two activations are for one token")]
    ProductOfTokens,
    /// Sorting with several tokens.
    #[error("sorting is for one token")]
    SortOfTokens,
    /// More of a group than it has, or none.
    #[error("{k} of {width} features")]
    Kept {
        /// Features kept.
        k: u32,
        /// Features of a group.
        width: usize,
    },
    /// A result of another width than values and places need.
    #[error("the result does not have {0} features")]
    ResultWidth(usize),

    // Ranges.
    /// Limbs of a quantity that has none or more than 62 bits.
    #[error("{0} limbs are not between 1 and 62 bits")]
    Limbs(u32),
    /// Limbs of a quantity of attention that has more than 62 bits.
    #[error("bad limb counts")]
    LimbCounts,
    /// A result that saturates, of several limbs.
    #[error("a clamped result has one limb")]
    ClampedLimbs,
    /// An operand that must be positive.
    #[error("its operand may be {0}, below 1")]
    BelowOne(i64),

    // Attributes, and data of the layer.
    /// A divisor below 1 or of more than 62 bits.
    #[error("{0} is no divisor")]
    Divisor(i64),
    /// A term of an affine row that no operand has.
    #[error("a term is outside its operand")]
    Term,
    /// A constant of another size than its node.
    #[error("wrong amount of data")]
    Data,
    /// A matrix of another size than the op's, or none.
    #[error("weight {weight} is not [{rows}, {columns}]")]
    Weight {
        /// Index of the matrix.
        weight: u32,
        /// Rows needed.
        rows: usize,
        /// Columns needed.
        columns: usize,
    },
    /// A table that the layer lacks.
    #[error("no such table")]
    Table,
    /// A table of exponentials that does not reach 0.
    #[error("the exp table does not end in 0")]
    TableEnd,
    /// A parameter that the layer lacks.
    #[error("no such parameter")]
    Parameter,
    /// An input port that the layer lacks.
    #[error("no such input port")]
    InputPort,
    /// An output port that the layer lacks.
    #[error("no such output port")]
    OutputPort,

    // The layer as a whole.
    /// A shape that the model lacks.
    #[error("no such shape")]
    Shape,
    /// Sizes that no model has.
    #[error("tokens must be positive and limb_bits within 2..=24")]
    ModelSizes,
    /// Tables or parameters of other sizes than the shape's.
    #[error("tables or parameters do not have the sizes of the shape")]
    DataSizes,
    /// Weights of other sizes than the shape's.
    #[error("weights do not have the sizes of the shape")]
    WeightSizes,
    /// A port of a tensor that the model lacks.
    #[error("a port names a tensor that does not exist")]
    Tensor,
}
